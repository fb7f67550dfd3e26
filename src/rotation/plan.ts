import { type ErrorCode, RegcreddError } from '../errors.ts'
import { type Credential, type RotationRecord, type RotationWay, versionOf } from '../keychain/credential.ts'
import { bounded, closed, ended, type Login, newVersion, relabel, superseded } from './labels.ts'
import type { Made } from './ports.ts'

const DAY_SECONDS = 86_400

/** A login: the new version is CURRENT at once, what was CURRENT becomes PREVIOUS. It ends a rotation that is STUCK. Throws ROTATION_ACTIVE. */
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
  refuseLogin(before)
  const version = newVersion(before, login, now)
  const stuck = activeRotation(before)
  const settled = stuck === undefined ? before : { ...before, rotations: ended(before, closed(stuck, now)) }
  return relabel(before, {
    current: version.id,
    pending: undefined,
    previous: before.current,
    versions: [...before.versions, version],
    rotations: superseded(settled),
  })
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
  const current = stored && versionOf(stored, 'current')
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
    way: wayOf(staging),
    ...(staging.rollbackOf === undefined ? {} : { rollbackOf: staging.rollbackOf }),
  }
  return relabel(stored, {
    pending: version.id,
    versions: [...stored.versions, version],
    rotations: bounded([...stored.rotations, record]),
  })
}

/**
 * Makes the new password the current one: PENDING becomes CURRENT, CURRENT becomes PREVIOUS and is kept for `graceSeconds`. Only for a secret that
 * the registry has accepted. Done twice it changes nothing. Throws ROTATION_NOT_FOUND, and ROTATION_SETTLED after an abort.
 */
export function commit(
  stored: Credential | undefined,
  rotationId: string,
  now: Date,
  graceSeconds: number = DAY_SECONDS,
): Credential {
  const { credential, record } = demandRotation(stored, rotationId)
  if (record.state === 'COMMITTED' || record.state === 'RETIRED') return credential
  if (record.state === 'ABORTED') throw new RegcreddError('ROTATION_SETTLED')
  const { code: _, ...rest } = record
  const graceEndsAt = new Date(now.getTime() + graceSeconds * 1_000).toISOString()
  const committed = { ...rest, state: 'COMMITTED' as const, endedAt: now.toISOString(), code: undefined, graceEndsAt }
  const previous = credential.current
  const rotations = ended({ ...credential, rotations: superseded(credential) }, committed)
  return relabel(credential, { current: record.version, pending: undefined, previous, rotations })
}

/**
 * Drops PENDING and leaves CURRENT as it was. `code` says why. Done twice it changes nothing.
 * Throws ROTATION_NOT_FOUND, and ROTATION_SETTLED after a commit.
 */
export function abort(stored: Credential | undefined, rotationId: string, code: ErrorCode, now: Date): Credential {
  const { credential, record } = demandRotation(stored, rotationId)
  if (record.state === 'ABORTED') return credential
  if (record.state === 'COMMITTED' || record.state === 'RETIRED') {
    throw new RegcreddError('ROTATION_SETTLED', 'it was committed')
  }
  return relabel(credential, { pending: undefined, rotations: ended(credential, closed({ ...record, code }, now)) })
}

/** Puts another secret into the place of PENDING: the one that the registry has made itself. Throws ROTATION_NOT_FOUND, ROTATION_SETTLED. */
export function adopt(stored: Credential | undefined, rotationId: string, made: Made, now: Date): Credential {
  const { credential, record } = demandStaged(stored, rotationId)
  const proposed = versionOf(credential, 'pending')
  if (proposed === undefined) throw new RegcreddError('KEYCHAIN_CORRUPT', 'a staged version is missing')
  const { expiresAt: _, ...kept } = proposed
  const version = newVersion(credential, { ...kept, ...made }, now)
  return relabel(credential, {
    pending: version.id,
    versions: [...credential.versions, version],
    rotations: ended(credential, { ...record, version: version.id }),
  })
}

/** Notes that the registry accepts no version; all of them are kept. Done twice it changes nothing. Throws ROTATION_NOT_FOUND, ROTATION_SETTLED. */
export function stick(stored: Credential | undefined, rotationId: string, code: ErrorCode, now: Date): Credential {
  if (findRotation(stored, rotationId)?.state === 'STUCK' && stored !== undefined) return stored
  const { credential, record } = demandStaged(stored, rotationId)
  const stuck: RotationRecord = { ...record, state: 'STUCK', endedAt: now.toISOString(), code }
  return { ...credential, rotations: ended(credential, stuck) }
}

/** Ends a rotation that is STUCK by making the version named the current one. Throws ROTATION_NOT_FOUND, ROTATION_NOT_STUCK, VERSION_REFUSED. */
export function resolve(
  stored: Credential | undefined,
  rotationId: string,
  versionId: string,
  now: Date,
  graceSeconds: number,
): Credential {
  const { credential, record } = demandRotation(stored, rotationId)
  if (record.state !== 'STUCK') throw new RegcreddError('ROTATION_NOT_STUCK')
  if (versionId === credential.pending) return commit(credential, rotationId, now, graceSeconds)
  const rotations = ended(credential, closed(record, now))
  if (versionId === credential.current) return relabel(credential, { pending: undefined, rotations })
  if (versionId !== credential.previous) throw new RegcreddError('VERSION_REFUSED', 'no such version is stored')
  return relabel(credential, { current: versionId, pending: undefined, previous: credential.current, rotations })
}

/** Deletes PREVIOUS, when its grace is over. Done twice it changes nothing. Throws ROTATION_NOT_FOUND, and ROTATION_SETTLED unless it was committed. */
export function retire(stored: Credential | undefined, rotationId: string): Credential {
  const { credential, record } = demandRotation(stored, rotationId)
  if (record.state === 'RETIRED') return credential
  if (record.state !== 'COMMITTED') throw new RegcreddError('ROTATION_SETTLED', 'it was not committed')
  const rotations = ended(credential, { ...record, state: 'RETIRED' })
  if (credential.previous === undefined) return { ...credential, rotations }
  return relabel(credential, { previous: undefined, rotations })
}

export function findRotation(stored: Credential | undefined, rotationId: string): RotationRecord | undefined {
  return stored?.rotations.find((record) => record.id === rotationId)
}

/** How its secret came to be; records that an earlier regcredd wrote do not say, and all of those were provided. */
export function wayOf({ way }: Pick<RotationRecord, 'way'>): RotationWay {
  return way ?? 'provided'
}

/** The rotation that is under way: there is at most one. */
export function activeRotation(stored: Credential | undefined): RotationRecord | undefined {
  return stored?.rotations.find((record) => record.state === 'STAGED' || record.state === 'STUCK')
}

/** Throws ROTATION_ACTIVE, naming it, while a rotation is under way. */
export function refuseWhileActive(stored: Credential | undefined): void {
  const active = activeRotation(stored)
  if (active === undefined) return
  const way = active.state === 'STUCK' ? ', which is STUCK: resolve it, or log in with what the registry accepts' : ''
  throw new RegcreddError('ROTATION_ACTIVE', `rotation ${active.id}${way}`)
}

/** As `refuseWhileActive`, but a login is a way out of STUCK. */
export function refuseLogin(stored: Credential | undefined): void {
  if (activeRotation(stored)?.state !== 'STUCK') refuseWhileActive(stored)
}

function demandStaged(stored: Credential | undefined, rotationId: string) {
  const found = demandRotation(stored, rotationId)
  if (found.record.state !== 'STAGED') throw new RegcreddError('ROTATION_SETTLED')
  return found
}

function demandRotation(
  stored: Credential | undefined,
  rotationId: string,
): { credential: Credential; record: RotationRecord } {
  const record = findRotation(stored, rotationId)
  if (stored === undefined || record === undefined) throw new RegcreddError('ROTATION_NOT_FOUND')
  return { credential: stored, record }
}
