import type { Keychain } from '../keychain/keychain.ts'
import type { OnAct } from './acts.ts'
import type { Mirror, Verify } from './ports.ts'

/** What the rotations are built from; time comes from outside so that a day passes in no time in a test. */
export type RotationParts = {
  keychain: Keychain
  verify: Verify
  mirror: Mirror
  onAct: OnAct
  /** Told of what went wrong where nobody waits for an answer; the work goes on or is tried again. Must not throw. */
  onFault: (fault: unknown, about: { key: string; rotation: string | undefined }) => void
  /** Whether the configuration lists `host` or `host/path`, canonical. */
  isListed: (key: string) => boolean
  now: () => Date
  /** Resolves after that time, or rejects when the signal is aborted (node:timers/promises does). */
  sleep: (durationMs: number, signal: AbortSignal) => Promise<unknown>
  /** In 0..1; spreads the tries of many nodes. */
  random: () => number
}
