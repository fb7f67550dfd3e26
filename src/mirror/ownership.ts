import type { Version } from '../keychain/credential.ts'

/** Name under which the API server records what we wrote (server-side apply). */
export const FIELD_MANAGER = 'regcredd'
export const OWNER_LABEL = 'app.kubernetes.io/managed-by'
export const OWNER = 'regcredd'
export const CREDENTIALS_ANNOTATION = 'regcredd.io/credentials'

/** Which version of a credential a Secret was written from. Nothing in it is derived from the password, not even a hash: whoever may read annotations could try guesses against one. */
export type Mark = Pick<Version, 'createdAt'> & { seq: number; version: string }

/** Marks by the credential's key, `host` or `host/path`. */
export type Marks = ReadonlyMap<string, Mark>

/** Whether a Secret carries both of our signs; one alone may be another tool's, or a copy. */
export function isOurs(labels: Record<string, string>, annotations: Record<string, string>): boolean {
  return labels[OWNER_LABEL] === OWNER && annotations[CREDENTIALS_ANNOTATION] !== undefined
}

/** The annotation's text: JSON, keys sorted, so that equal marks are equal text. */
export function formatMarks(marks: Marks): string {
  const sorted = [...marks].sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(
    Object.fromEntries(sorted.map(([key, { seq, version, createdAt }]) => [key, { seq, version, createdAt }])),
  )
}

/** Reads the annotation. Whoever may write the Secret may have written anything here: what is not a mark is left out. */
export function parseMarks(text: string | undefined): Marks {
  const marks = new Map<string, Mark>()
  let parsed: unknown
  try {
    parsed = JSON.parse(text ?? '{}')
  } catch {
    return marks
  }
  if (typeof parsed !== 'object' || parsed === null) return marks
  for (const [key, value] of Object.entries(parsed)) {
    if (isMark(value)) marks.set(key, { seq: value.seq, version: value.version, createdAt: value.createdAt })
  }
  return marks
}

/**
 * How the version that a Secret was written from stands to ours. `seq` decides; where the Secret's is not lower, the version
 * that was made later wins, since deleting a credential and storing it anew begins at a low seq again.
 */
export function compareMarks(stored: Mark | undefined, ours: Mark): 'same' | 'behind' | 'ahead' {
  if (stored === undefined) return 'behind'
  if (stored.version === ours.version && stored.createdAt === ours.createdAt) return 'same'
  if (stored.seq < ours.seq) return 'behind'
  return Date.parse(stored.createdAt) >= Date.parse(ours.createdAt) ? 'ahead' : 'behind'
}

function isMark(value: unknown): value is Mark {
  if (typeof value !== 'object' || value === null) return false
  const { seq, version, createdAt } = value as Record<string, unknown>
  return (
    Number.isSafeInteger(seq) &&
    typeof version === 'string' &&
    typeof createdAt === 'string' &&
    !Number.isNaN(Date.parse(createdAt))
  )
}
