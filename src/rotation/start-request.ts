import { RegcreddError } from '../errors.ts'
import type { Credential, RotationRecord } from '../keychain/credential.ts'
import type { Secret } from '../secret.ts'
import type { Actor } from './acts.ts'
import { generateSecret, type SecretShape } from './generate.ts'
import { hashBody, isSameBody, type RotationBody } from './idempotency.ts'
import { stage } from './plan.ts'

export type StartRequest = {
  /** The new secret; absent: it is made here, and set at the registry by its hook. */
  secret?: Secret | undefined
  /** How a generated secret is to look, where that is not as the configuration says. */
  generate?: Partial<SecretShape> | undefined
  /** Absent: that of CURRENT; so too with `email`. */
  username: string | undefined
  email: string | undefined
  /** 0: one try, at once. */
  deadlineSeconds: number
  /** When the new secret ends at the registry, where that is known: RFC 3339. */
  expiresAt?: string | undefined
  idempotencyKey: string | undefined
  actor: Actor
}

export type DryRunRequest = { way: 'provided' | 'generated'; deadlineSeconds: number }

/** Stages what was asked for. Throws as `stage` does. */
export function stageRequest(
  stored: Credential | undefined,
  rotationId: string,
  request: StartRequest,
  now: Date,
  shape: SecretShape,
): Credential {
  const { username, email, expiresAt, idempotencyKey } = request
  const isGenerated = request.secret === undefined
  const secret = request.secret ?? generateSecret({ ...shape, ...request.generate })
  return stage(stored, {
    rotationId,
    way: isGenerated ? 'generated' : 'provided',
    login: { username, secret, email, expiresAt, madeBy: isGenerated ? rotationId : undefined },
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
  const { username, secret, generate, email, deadlineSeconds, expiresAt } = request
  return { username, secret, generate, email, deadlineSeconds, expiresAt }
}
