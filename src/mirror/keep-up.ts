import type { Applied } from './apply.ts'
import type { Fault } from './fault.ts'
import type { Time } from './time.ts'

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 30_000
/** A server that asks for a longer pause is asked earlier all the same. */
const LONGEST_ASKED_MS = 600_000

/** When a thing that failed, or that waits for its time, is to be seen to; undefined leaves it to the resync. */
export type Retry = { failures: number; retryAtMs: number | undefined; pauseMs: number }

type Upkeep<T> = {
  start(): void
  /** Notes how an attempt ended, and when to try again. */
  settled(one: T, applied: Pick<Applied, 'fault'>): void
  /** Has one seen to at a time. */
  wait(one: T, durationMs: number): void
  /** Resolves once the loop has ended, which it does when the signal is aborted. */
  ended(): Promise<void>
}

/** Compares and repairs all Secrets in an interval, and those that a fault kept us from sooner, with growing pauses. */
export function keepUp<T extends Retry>(options: {
  tracked: () => T[]
  resyncIntervalMs: number
  time: Time
  run: (some: T[], signal: AbortSignal) => Promise<unknown>
  signal: AbortSignal
}): Upkeep<T> {
  const { tracked, resyncIntervalMs, time, signal } = options
  let wake = new AbortController()
  let loop = Promise.resolve()

  async function upkeep(): Promise<void> {
    let resyncAtMs = time.now().getTime()
    while (!signal.aborted) {
      wake = new AbortController()
      const nowMs = time.now().getTime()
      const all = tracked()
      const resync = isDue(resyncAtMs, nowMs, 2 * resyncIntervalMs)
      if (resync) resyncAtMs = nowMs + spread(resyncIntervalMs, time.random())
      await options.run(resync ? all : all.filter((one) => isDue(one.retryAtMs, nowMs, 2 * one.pauseMs)), signal)
      let nextAtMs = resyncAtMs
      for (const { retryAtMs } of tracked()) nextAtMs = Math.min(nextAtMs, retryAtMs ?? nextAtMs)
      const pauseMs = Math.min(Math.max(nextAtMs - time.now().getTime(), 1), 2 * resyncIntervalMs)
      await time.sleep(pauseMs, AbortSignal.any([signal, wake.signal])).catch(() => undefined)
    }
  }

  function wait(one: T, durationMs: number): void {
    one.pauseMs = durationMs
    one.retryAtMs = time.now().getTime() + durationMs
    wake.abort()
  }

  return {
    start: () => {
      loop = upkeep()
    },
    settled(one, { fault }) {
      one.failures = fault === undefined ? 0 : one.failures + 1
      one.retryAtMs = undefined
      if (fault === undefined) return
      const ownMs = Math.min(FIRST_RETRY_MS * 2 ** (one.failures - 1), LAST_RETRY_MS)
      wait(one, pauseAfterFault(ownMs, fault, time.random()))
    },
    wait,
    ended: () => loop,
  }
}

/** A time that lies further ahead than any pause is due too: the wall clock was set back. */
function isDue(atMs: number | undefined, nowMs: number, longestMs: number): boolean {
  return atMs !== undefined && (atMs <= nowMs || atMs - nowMs > longestMs)
}

/** Three quarters to five quarters, so that the nodes of a cluster do not all come at once. */
export function spread(durationMs: number, random: number): number {
  return Math.ceil(durationMs * (0.75 + random / 2))
}

/** Our own pause, spread; a longer one where the server asks for it, which is kept in full. */
export function pauseAfterFault(ownMs: number, fault: Fault | undefined, random: number): number {
  return Math.max(spread(ownMs, random), Math.min(fault?.retryAfterMs ?? 0, LONGEST_ASKED_MS))
}
