import type { Keychain } from '../keychain/keychain.ts'
import type { OnAct } from './acts.ts'
import type { Journal } from './journal.ts'
import type { Pass } from './points.ts'
import type { RotationPolicy } from './policy.ts'
import type { FleetPort, Mirror, RunHook, Verify } from './ports.ts'

/** What the rotations are built from; time comes from outside so that a day passes in no time in a test. */
export type RotationParts = {
  keychain: Pick<Keychain, 'keys' | 'get' | 'update'>
  journal: Journal
  verify: Verify
  runHook: RunHook
  mirror: Mirror
  /** Absent: this node shares its credentials with nobody. */
  fleet?: FleetPort
  onAct: OnAct
  /** Told of what went wrong where nobody waits for an answer; the work goes on or is tried again. Must not throw. */
  onFault: (fault: unknown, about: { key: string; rotation: string | undefined }) => void
  /** Told of what an operator should know and nobody has asked for, such as how a hook ended. Must not throw. */
  onNote: (note: string, about: { key: string; rotation: string }) => void
  /** Whether the configuration lists `host` or `host/path`, canonical. */
  isListed: (key: string) => boolean
  /** What the configuration says of a registry; of one that is not listed, the defaults. */
  policyOf: (key: string) => RotationPolicy
  /** Registries whose password is generated anew every so often. */
  scheduled?: string[]
  /** Pulls with this credential since then; absent where nobody counts them. */
  countPulls?: (key: string, since: Date) => Promise<number>
  /** Where the credential is mirrored to; `undefined` where no cluster is configured. */
  placesOf?: (key: string) => Promise<Places | undefined>
  /** Passes each point at which a crash is tested; does nothing in a daemon. */
  pass: Pass
  /** Wall time, for what is shown, and kept over a restart. */
  now: () => Date
  /** Milliseconds that no change of the clock moves, for what is waited for. */
  monotonicMs: () => number
  /** Resolves after that time, or rejects when the signal is aborted (node:timers/promises does). */
  sleep: (durationMs: number, signal: AbortSignal) => Promise<unknown>
  /** As `sleep`, for the hours and days until PREVIOUS goes or a schedule comes. */
  rest: (durationMs: number, signal: AbortSignal) => Promise<unknown>
  /** In 0..1; spreads the tries of many nodes. */
  random: () => number
}

/** `serviceAccounts` are those that name the Secret. */
export type Places = {
  secrets: { namespace: string; secretName: string; serviceAccounts: string[] }[]
  nodes: string[]
}
