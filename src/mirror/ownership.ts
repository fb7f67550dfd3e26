import type { Version } from '../keychain/credential.ts'

/** Name under which the API server records what we wrote (server-side apply). */
export const FIELD_MANAGER = 'regcredd'
export const OWNER_LABEL = 'app.kubernetes.io/managed-by'
export const OWNER = 'regcredd'
export const CREDENTIALS_ANNOTATION = 'regcredd.io/credentials'
export const OWNER_ANNOTATION = 'regcredd.io/owner'
/** On a Secret: the ServiceAccounts that may name it because of us, so that they are found again when they are not to any more. */
export const SERVICE_ACCOUNTS_ANNOTATION = 'regcredd.io/service-accounts'
/** On a ServiceAccount: the names that we put into its `imagePullSecrets`. What stood there before us is not among them. */
export const ADDED_ANNOTATION = 'regcredd.io/image-pull-secrets'

const NAME = /^[a-z0-9][a-z0-9.-]{0,252}$/

/** Which version of a credential a Secret was written from. Nothing in it is derived from the password, not even a hash: whoever may read annotations could try guesses against one. */
export type Mark = Pick<Version, 'createdAt'> & { seq: number; version: string }

/** Marks by the credential's key, `host` or `host/path`. */
export type Marks = ReadonlyMap<string, Mark>

/** Who writes a Secret: the name of a daemon or fleet, and the uid of the cluster's kube-system where it is known. */
export type Owner = { name: string; cluster: string | undefined }

/**
 * Whose a Secret is. `ours`: it carries both of our signs, and no other owner's name. `copied`: it came from another cluster,
 * as a restored backup does. `other`: another regcredd of this cluster keeps it. `none`: no regcredd made it.
 */
export function claimOn(
  labels: Record<string, string>,
  annotations: Record<string, string>,
  owner: Owner,
): 'ours' | 'copied' | 'other' | 'none' {
  // One sign alone may be another tool's.
  if (labels[OWNER_LABEL] !== OWNER || annotations[CREDENTIALS_ANNOTATION] === undefined) return 'none'
  const told = annotations[OWNER_ANNOTATION]
  if (told === undefined) return 'ours'
  const stored = parseOwner(told)
  const isSameCluster = stored.cluster === undefined || owner.cluster === undefined || stored.cluster === owner.cluster
  if (!isSameCluster) return 'copied'
  return stored.name === owner.name ? 'ours' : 'other'
}

/** Whether a Secret says in so many words that this owner, in this cluster, made it. Without both there is no deleting. */
export function isSurelyOurs(
  labels: Record<string, string>,
  annotations: Record<string, string>,
  owner: Owner,
): boolean {
  if (owner.cluster === undefined || claimOn(labels, annotations, owner) !== 'ours') return false
  return annotations[OWNER_ANNOTATION] === formatOwner(owner)
}

export function formatOwner({ name, cluster }: Owner): string {
  return cluster === undefined ? name : `${name}@${cluster}`
}

function parseOwner(text: string): Owner {
  const at = text.lastIndexOf('@')
  return at < 0 ? { name: text, cluster: undefined } : { name: text.slice(0, at), cluster: text.slice(at + 1) }
}

/** Names of ServiceAccounts, sorted, one text for equal sets. */
export function formatNames(names: string[]): string {
  return JSON.stringify([...new Set(names)].sort())
}

/** Whoever may write the Secret may have written anything: what is no list of names of ServiceAccounts is an empty one. */
export function parseNames(text: string | undefined): string[] {
  try {
    const parsed: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(parsed)
      ? parsed.filter((name) => typeof name === 'string' && NAME.test(name)).slice(0, 100)
      : []
  } catch {
    return []
  }
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
