import { randomUUID } from 'node:crypto'
import type { Registry } from '../config/config.ts'
import type { ErrorCode } from '../errors.ts'
import type { Caller } from './caller.ts'
import type { Pull } from './pull.ts'

/** What became of one request. */
export type Outcome = {
  /** What the caller was told; 0 where the connection ended before that. */
  status: number
  bytes: number
  complete: boolean
  /** The caller was sent to the registry's store; `sizeBytes` is the blob's size, where a manifest told it. */
  redirected?: { sizeBytes: number | undefined } | undefined
  digest: string | undefined
  code: ErrorCode | undefined
  /** What was thrown, for the log alone. */
  cause: unknown
}

/** One request at the proxy, from its first byte to its outcome. It settles exactly once. */
export class Exchange {
  readonly id = randomUUID()
  readonly peer: string
  readonly startedAtMs: number
  readonly signal: AbortSignal
  caller: Caller | undefined
  pull: Pull | undefined
  registry: Registry | undefined
  /** Version of the registry's credential with which it was asked last; absent for an anonymous request. */
  version: string | undefined
  /** Origin that the answer came from. */
  upstream: string | undefined
  /** What the registry said of its limit on this very answer. */
  rateLimit: { limit: number; remaining: number } | undefined
  readonly #onSettled: (exchange: Exchange, outcome: Outcome) => void
  #settled = false

  constructor(opened: {
    peer: string
    startedAtMs: number
    signal: AbortSignal
    onSettled: (exchange: Exchange, outcome: Outcome) => void
  }) {
    this.peer = opened.peer
    this.startedAtMs = opened.startedAtMs
    this.signal = opened.signal
    this.#onSettled = opened.onSettled
  }

  settle(outcome: Outcome): void {
    if (this.#settled) return
    this.#settled = true
    this.#onSettled(this, outcome)
  }
}
