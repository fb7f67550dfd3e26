const FIRST_DELAY_MS = 2_000
const PLATEAU_MS = 15_000
const GROWTH = 1.5

/** No rotation, however long its deadline (a day at most), asks the registry more often than this. */
export const MAX_TRIES = 100

/**
 * How long to wait after try number `tries` (from 1): 2 s growing to 15 s, and never less than an eighth of the time that has
 * passed, so that a day's deadline costs less than a hundred refused log-ins, and a registry that locks accounts out has time to forgive.
 * `random` is in 0..1 and moves the delay by a tenth either way.
 */
export function retryDelayMs(tries: number, elapsedMs: number, random: number): number {
  const growing = Math.min(PLATEAU_MS, FIRST_DELAY_MS * GROWTH ** (tries - 1))
  return Math.max(growing, elapsedMs / 8) * (0.9 + 0.2 * random)
}
