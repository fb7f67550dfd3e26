import { type ErrorCode, RegcreddError } from '../errors.ts'
import type { Credential, RotationRecord, RotationWay, Version } from '../keychain/credential.ts'
import type { Secret } from '../secret.ts'

/** What somebody logs in with at a registry. */
export type Login = {
  username: string
  secret: Secret
  email: string | undefined
  /** When the registry ends it, where that is known: RFC 3339. */
  expiresAt?: string | undefined
  /** The rotation whose hook made it. */
  madeBy?: string | undefined
}

const ROTATIONS_KEPT = 10

/** A login: the new version is CURRENT at once, what was CURRENT becomes PREVIOUS. Throws ROTATION_ACTIVE. */
export function replace(stored: Credential | undefined, key: string, login: Login, now: Date): Credential {
  const before: Credential = stored ?? {
    schema: 1,
    key,
    seq: 0,
    current: undefined,
    pending: undefined,
    previous: undefined,
    versions: [],
    rotations: [],
  }
  refuseWhileActive(before)
  const version = newVersion(before, login, now)
  return relabel(before, { current: version.id, previous: before.current, versions: [...before.versions, version] })
}

/** Checks that the credential may go: nothing is stored afterwards. Throws CREDENTIAL_NOT_FOUND, ROTATION_ACTIVE. */
export function remove(stored: Credential | undefined): undefined {
  if (stored === undefined) throw new RegcreddError('CREDENTIAL_NOT_FOUND')
  refuseWhileActive(stored)
  return undefined
}

export type Staging = {
  rotationId: string
  /** Absent: provided. */
  way?: RotationWay
  /** The rotation that is taken back. */
  rollbackOf?: string
  /** What is left out stays as it is in CURRENT. */
  login: Omit<Login, 'username'> & { username: string | undefined }
  deadline: Date
  idempotencyKey: string | undefined
  bodyHash: string | undefined
  now: Date
}

/** Puts a new version beside CURRENT, labelled PENDING. Throws CREDENTIAL_NOT_FOUND without a CURRENT, ROTATION_ACTIVE. */
export function stage(stored: Credential | undefined, staging: Staging): Credential {
  const current = stored?.versions.find((version) => version.id === stored.current)
  if (stored === undefined || current === undefined) {
    throw new RegcreddError('CREDENTIAL_NOT_FOUND', 'log in first; a rotation replaces what is there')
  }
  refuseWhileActive(stored)
  const { login, now } = staging
  const username = login.username ?? current.username
  const version = newVersion(stored, { ...login, username, email: login.email ?? current.email }, now)
  const record: RotationRecord = {
    id: staging.rotationId,
    state: 'STAGED',
    version: version.id,
    deadline: staging.deadline.toISOString(),
    startedAt: now.toISOString(),
    endedAt: undefined,
    code: undefined,
    idempotencyKey: staging.idempotencyKey,
    bodyHash: staging.bodyHash,
    way: staging.way ?? 'provided',
    ...(staging.rollbackOf === undefined ? {} : { rollbackOf: staging.rollbackOf }),
  }
  return relabel(stored, {
    pending: version.id,
    versions: [...stored.versions, version],
    rotations: [...stored.rotations, record].slice(-ROTATIONS_KEPT),
  })
}

/**
 * Makes the new password the current one: PENDING becomes CURRENT, CURRENT becomes PREVIOUS. Only for a secret that the registry
 * has accepted. Done twice it changes nothing. Throws ROTATION_NOT_FOUND, and ROTATION_SETTLED after an abort.
 */
export function commit(stored: Credential | undefined, rotationId: string, now: Date): Credential {
  const { credential, record } = demandRotation(stored, rotationId)
  if (record.state === 'COMMITTED') return credential
  if (record.state === 'ABORTED') throw new RegcreddError('ROTATION_SETTLED')
  return relabel(credential, {
    current: record.version,
    pending: undefined,
    previous: credential.current,
    rotations: ended(credential, { ...record, state: 'COMMITTED', endedAt: now.toISOString() }),
  })
}

/**
 * Drops PENDING and leaves CURRENT as it was. `code` says why. Done twice it changes nothing.
 * Throws ROTATION_NOT_FOUND, and ROTATION_SETTLED after a commit.
 */
export function abort(stored: Credential | undefined, rotationId: string, code: ErrorCode, now: Date): Credential {
  const { credential, record } = demandRotation(stored, rotationId)
  if (record.state === 'ABORTED') return credential
  if (record.state === 'COMMITTED') throw new RegcreddError('ROTATION_SETTLED', 'it was committed')
  return relabel(credential, {
    pending: undefined,
    rotations: ended(credential, { ...record, state: 'ABORTED', endedAt: now.toISOString(), code }),
  })
}

export function findRotation(stored: Credential | undefined, rotationId: string): RotationRecord | undefined {
  return stored?.rotations.find((record) => record.id === rotationId)
}

/** The rotation that is under way: there is at most one. */
export function activeRotation(stored: Credential | undefined): RotationRecord | undefined {
  return stored?.rotations.find((record) => record.state === 'STAGED')
}

/** Throws ROTATION_ACTIVE, naming it, while a rotation is under way. */
export function refuseWhileActive(stored: Credential | undefined): void {
  const active = activeRotation(stored)
  if (active !== undefined) throw new RegcreddError('ROTATION_ACTIVE', `rotation ${active.id}`)
}

function demandRotation(
  stored: Credential | undefined,
  rotationId: string,
): { credential: Credential; record: RotationRecord } {
  const record = findRotation(stored, rotationId)
  if (stored === undefined || record === undefined) throw new RegcreddError('ROTATION_NOT_FOUND')
  return { credential: stored, record }
}

/** The highest number ever given stands in the versions or, after an abort, in the newest rotation; so no number comes twice. */
function newVersion(credential: Credential, login: Login, now: Date): Version {
  const ids = [...credential.versions.map((version) => version.id), ...credential.rotations.map((r) => r.version)]
  const highest = Math.max(0, ...ids.map((id) => Number(id.slice(1))))
  const { username, secret, email, expiresAt, madeBy } = login
  return {
    id: `v${highest + 1}`,
    username,
    secret,
    email,
    createdAt: now.toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(madeBy === undefined ? {} : { madeBy }),
  }
}

/** Changes labels: one step of `seq`, and a version that no label points at is forgotten. */
function relabel(before: Credential, change: Partial<Credential>): Credential {
  const after = { ...before, ...change, seq: before.seq + 1 }
  const labelled = [after.current, after.pending, after.previous]
  return { ...after, versions: after.versions.filter((version) => labelled.includes(version.id)) }
}

function ended(credential: Credential, record: RotationRecord): RotationRecord[] {
  return credential.rotations.map((other) => (other.id === record.id ? record : other))
}
