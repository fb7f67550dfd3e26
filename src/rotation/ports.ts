import type { Secret } from '../secret.ts'

/** What the registry says to a username and secret. `unreachable` and `unverifiable` decide nothing about them. */
export type Verdict =
  | { outcome: 'accepted' }
  | { outcome: 'rejected'; detail: string }
  | { outcome: 'unreachable'; detail: string }
  | { outcome: 'unverifiable'; detail: string }

/** Tries a username and secret at the registry that `key` names: a real token and a real request, nothing cached. Never throws. */
export type Verify = (key: string, login: { username: string; secret: Secret }, signal: AbortSignal) => Promise<Verdict>

/**
 * One namespace's Secret after a mirror run. `foreign`: not made by regcredd, left alone. `orphan`: no mirror wants it any more, and it will be
 * `removed`; a run for a credential never gives these two.
 */
export type MirrorResult = {
  namespace: string
  secretName: string
  outcome: 'created' | 'updated' | 'unchanged' | 'foreign' | 'failed' | 'orphan' | 'removed'
  detail: string | undefined
  /** Absent where none is configured, or where the Secret could not be seen to. */
  serviceAccounts?: AccountResult[]
}

/** A ServiceAccount that is to name the Secret. `absent`: there is none of that name yet. */
export type AccountResult = {
  name: string
  outcome: 'added' | 'unchanged' | 'absent' | 'failed'
  detail: string | undefined
}

/** Writes CURRENT of `key` into every Secret that is to hold it. Never throws; failures are results. Gives an empty list where no cluster is configured. */
export type Mirror = (key: string, signal: AbortSignal) => Promise<MirrorResult[]>
