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

/** What the rotations ask of the other nodes, on one that shares its credentials with them. */
export type FleetPort = {
  /** Name of this node, as it stands in the rotations that it drives. */
  node: string
  /** Whether every live node that holds the credential holds this `seq` of it or a later one; false where that cannot be found out. */
  allAdopted: (key: string, seq: number, signal: AbortSignal) => Promise<boolean>
  /** True where it cannot be found out. */
  isLive: (node: string, signal: AbortSignal) => Promise<boolean>
  /** Whether this node is the one that begins what nobody has asked for. */
  leads: () => boolean
}

/** A command of the operator's that changes a password at a registry: its words, run without a shell. */
export type Hook = { command: string[]; timeoutMs: number }

/** What a hook is told on its standard input, as one line of JSON; docs/rotation.md is its reference. */
export type HookInput = {
  action: 'apply' | 'retire'
  /** `host` or `host/path`. */
  registry: string
  rotation: string
  username: string
  email: string | undefined
  /** `apply`: that of CURRENT. `retire`: that of PREVIOUS, which goes. */
  oldUsername: string
  oldSecret: Secret
  /** `apply`: what the registry is to take. `retire`: that of CURRENT. */
  newSecret: Secret
  /** `retire`: the rotation whose hook made PREVIOUS, if one did. */
  madeBy: string | undefined
}

/** The secret that a registry has made itself, in place of the one that was proposed. */
export type Made = { secret: Secret; username?: string; expiresAt?: string }

/**
 * How a hook ended. `done`: exit 0; `made` where the registry chose the secret itself. `retry` (75) and `refused` (77): nothing was changed, says the
 * hook. `unknown`: anything else; what it did must be found out. `isInFlight`: it was killed or lost, so what it sent may still take effect.
 */
export type HookEnd =
  | { outcome: 'done'; made: Made | undefined; note: string }
  | { outcome: 'retry' | 'refused'; note: string }
  | { outcome: 'unknown'; isInFlight: boolean; note: string }

/** Runs a hook to its end, or to its time limit or the signal, when its whole process group is killed. Never throws. */
export type RunHook = (hook: Hook, input: HookInput, signal: AbortSignal) => Promise<HookEnd>
