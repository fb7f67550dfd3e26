import type { Secret } from '../secret.ts'

/** One username and secret of a registry. `id` is `v1`, `v2`, … and is never used twice within a credential. */
export type Version = {
  id: string
  username: string
  secret: Secret
  email: string | undefined
  /** RFC 3339, UTC. */
  createdAt: string
}

export type RotationState = 'STAGED' | 'COMMITTED' | 'ABORTED'

/** What is kept of a rotation in the credential's own item, so that one write moves the labels and the state together. Holds no secret. */
export type RotationRecord = {
  id: string
  state: RotationState
  /** Version that is staged or was committed. */
  version: string
  /** RFC 3339, UTC: when the registry must have accepted the new secret. */
  deadline: string
  startedAt: string
  endedAt: string | undefined
  /** Why it was aborted: an error code of the catalogue. */
  code: string | undefined
  /** The Idempotency-Key that began it, and a keyed hash of its body. */
  idempotencyKey: string | undefined
  bodyHash: string | undefined
}

/**
 * All versions of the credential of one registry: one keychain item. PENDING, CURRENT and PREVIOUS are labels on versions
 * (the names of AWS Secrets Manager). `seq` grows by one with every change of the labels and never shrinks.
 */
export type Credential = {
  schema: 1
  /** `host` or `host/path`, canonical. */
  key: string
  seq: number
  current: string | undefined
  pending: string | undefined
  previous: string | undefined
  versions: Version[]
  /** Newest last; a handful is kept. */
  rotations: RotationRecord[]
}

/** The version that a label points at. */
export function versionOf(credential: Credential, label: 'current' | 'pending' | 'previous'): Version | undefined {
  const id = credential[label]
  return id === undefined ? undefined : credential.versions.find((version) => version.id === id)
}
