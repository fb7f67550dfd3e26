import type { Secret } from '../secret.ts'

/** One username and secret of a registry. `id` is `v1`, `v2`, … and is never used twice within a credential. */
export type Version = {
  id: string
  username: string
  secret: Secret
  email: string | undefined
  /** RFC 3339, UTC. */
  createdAt: string
  /** When the registry ends it, where that is known: RFC 3339. */
  expiresAt?: string
  /** The rotation whose hook made it at the registry. */
  madeBy?: string
}

/** The states that move labels; what lies between them stands in the rotation's journal and can be found out anew. */
export const RECORD_STATES = ['STAGED', 'STUCK', 'COMMITTED', 'RETIRED', 'ABORTED'] as const
export type RecordState = (typeof RECORD_STATES)[number]

/** How a new secret came to be. */
export type RotationWay = 'provided' | 'generated' | 'rollback'

/** What is kept of a rotation in the credential's own item, so that one write moves the labels and the state together. Holds no secret. */
export type RotationRecord = {
  id: string
  state: RecordState
  /** The node of a fleet that drives it; absent: the one that holds this item. */
  node?: string
  /** Absent: provided. */
  way?: RotationWay
  /** The rotation that it takes back. */
  rollbackOf?: string
  /** When PREVIOUS goes; set at the commit. */
  graceEndsAt?: string
  /** Version that is staged or was committed. */
  version: string
  /** RFC 3339, UTC: when the registry must have accepted the new secret. */
  deadline: string
  startedAt: string
  endedAt: string | undefined
  /** Why it was aborted or is stuck: an error code of the catalogue. */
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
