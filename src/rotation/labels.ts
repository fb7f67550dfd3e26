import type { Credential, RotationRecord, Version } from '../keychain/credential.ts'
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

/** The highest number ever given stands in the versions or, after an abort, in the newest rotation; so no number comes twice. */
export function newVersion(credential: Credential, login: Login, now: Date): Version {
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
export function relabel(before: Credential, change: Partial<Credential>): Credential {
  const after = { ...before, ...change, seq: before.seq + 1 }
  const labelled = [after.current, after.pending, after.previous]
  return { ...after, versions: after.versions.filter((version) => labelled.includes(version.id)) }
}

export function ended(credential: Credential, record: RotationRecord): RotationRecord[] {
  return credential.rotations.map((other) => (other.id === record.id ? record : other))
}

/** As it is after an abort; its code says why. */
export function closed(record: RotationRecord, now: Date): RotationRecord {
  return { ...record, state: 'ABORTED', endedAt: now.toISOString() }
}

/** The PREVIOUS of an earlier rotation is forgotten when another version takes its place. */
export function superseded({ rotations }: Credential): RotationRecord[] {
  return rotations.map((record) => (record.state === 'COMMITTED' ? { ...record, state: 'RETIRED' as const } : record))
}

/** The last ones, and one that still has a PREVIOUS to delete. */
export function bounded(rotations: RotationRecord[]): RotationRecord[] {
  const surplus = rotations.length - ROTATIONS_KEPT
  const old = rotations.filter(({ state }) => state !== 'COMMITTED').slice(0, Math.max(0, surplus))
  return rotations.filter((record) => !old.includes(record))
}
