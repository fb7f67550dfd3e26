/** Time and chance, given from outside so that tests need not wait for them. */
export type Time = {
  now: () => Date
  /** Resolves after that time, or rejects when the signal is aborted (node:timers/promises does). */
  sleep: (durationMs: number, signal: AbortSignal) => Promise<unknown>
  /** In [0, 1). */
  random: () => number
}
