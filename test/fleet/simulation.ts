import type { Time } from '../../src/fleet/time.ts'

/** Time that passes only when a test says so; sleepers wake in the order of their times. */
export function createSimulation() {
  let nowMs = 0
  const sleepers = new Set<{ atMs: number; wake: () => void }>()

  function sleepOn(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { atMs: nowMs + durationMs, wake: resolve }
      sleepers.add(sleeper)
      const end = () => {
        sleepers.delete(sleeper)
        reject(signal.reason)
      }
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
    })
  }

  return {
    nowMs: () => nowMs,
    /** The clocks of one node: its time of day may be wrong, and it may be stopped, when nothing of it goes on but the time. */
    clockOf(options: { skewMs?: number; random?: () => number }) {
      let stopped: PromiseWithResolvers<void> | undefined
      const time: Time = {
        now: () => new Date(1_700_000_000_000 + nowMs + (options.skewMs ?? 0)),
        steadyMs: () => nowMs,
        random: options.random ?? (() => 0.5),
        async sleep(durationMs, signal) {
          await sleepOn(durationMs, signal)
          await stopped?.promise
        },
      }
      return {
        time,
        stop: () => {
          stopped ??= Promise.withResolvers<void>()
        },
        goOn: () => {
          stopped?.resolve()
          stopped = undefined
        },
      }
    },
    /** Lets time pass; `each` runs after every step. */
    async pass(durationMs: number, each: () => void = () => {}, stepMs = 100): Promise<void> {
      for (const untilMs = nowMs + durationMs; nowMs < untilMs; ) {
        nowMs += stepMs
        for (const sleeper of [...sleepers].sort((a, b) => a.atMs - b.atMs)) {
          if (sleeper.atMs > nowMs) continue
          sleepers.delete(sleeper)
          sleeper.wake()
        }
        await new Promise((resolve) => setImmediate(resolve))
        each()
      }
    },
  }
}
