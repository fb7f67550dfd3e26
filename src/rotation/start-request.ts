import { RegcreddError } from '../errors.ts'
import type { Credential, RotationRecord } from '../keychain/credential.ts'
import type { Secret } from '../secret.ts'
import type { Actor } from './acts.ts'
import { hashBody, isSameBody, type RotationBody } from './idempotency.ts'
import { stage } from './plan.ts'

export type StartRequest = {
  /** Absent: that of CURRENT; so too with `email`. */
  username: string | undefined
  secret: Secret
  email: string | undefined
  /** 0: one try, at once. */
  deadlineSeconds: number
  idempotencyKey: string | undefined
  actor: Actor
}

/** Stages what was asked for. Throws as `stage` does. */
export function stageRequest(
  stored: Credential | undefined,
  rotationId: string,
  request: StartRequest,
  now: Date,
): Credential {
  const { username, secret, email, idempotencyKey } = request
  return stage(stored, {
    rotationId,
    login: { username, secret, email },
    deadline: new Date(now.getTime() + request.deadlineSeconds * 1_000),
    idempotencyKey,
    bodyHash: idempotencyKey === undefined ? undefined : hashBody(bodyOf(request)),
    now,
  })
}

/** The rotation that a request with this idempotency key began; keys are told apart for each credential, and kept as long as the rotation is. */
export function sameRequest(stored: Credential, request: StartRequest): RotationRecord | undefined {
  if (request.idempotencyKey === undefined) return undefined
  return stored.rotations.find((record) => record.idempotencyKey === request.idempotencyKey)
}

/** What is stored, unchanged, if this very request began a rotation before. Throws IDEMPOTENCY_CONFLICT when the body was another. */
export function repeated(stored: Credential | undefined, request: StartRequest): Credential | undefined {
  const earlier = stored && sameRequest(stored, request)
  if (earlier === undefined) return undefined
  const isSame = earlier.bodyHash !== undefined && isSameBody(earlier.bodyHash, bodyOf(request))
  if (!isSame) throw new RegcreddError('IDEMPOTENCY_CONFLICT', `rotation ${earlier.id}`)
  return stored
}

function bodyOf(request: StartRequest): RotationBody {
  const { username, secret, email, deadlineSeconds } = request
  return { username, secret, email, deadlineSeconds }
}
