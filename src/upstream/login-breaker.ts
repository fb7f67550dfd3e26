import { LRUCache } from 'lru-cache'
import { orAborted } from './or-aborted.ts'

const FIRST_HOLD_MS = 10_000
const LONGEST_HOLD_MS = 300_000
const MAX_REMEMBERED = 10_000

/** One login that may be tried now. Its verdict ends it; disposed of without one, it has told nothing. */
export type Trial = Disposable & {
  accepted(): void
  /** The login was refused (401). */
  rejected(): void
  /** Refused in a way that may concern this repository alone (a token server's 403). */
  denied(): void
}

export type HeldLogin = { registry: string; version: string; sinceAt: Date; retryAt: Date }

/**
 * Remembers which logins a registry refuses, so that none is replayed at it: every failed login counts towards a lock-out of the
 * account (goharbor/harbor#22569). A refused version is held back for 10 s, then twice as long after each further refusal, 5 min at the most.
 * One refusal holds a version that was never accepted; one that was accepted needs two in a row.
 */
export type LoginBreaker = {
  /** When a version that is held back, everywhere or for this repository, may be tried again; undefined: it may be tried now. */
  retryAt(registry: string, version: string, repository: string): Date | undefined
  /**
   * Asks leave to log in; undefined: held back. While a version that is not known to be good is being tried, others that would try it
   * wait for the verdict, so that a cold burst with a wrong password is one failed login and not fifty.
   */
  claim(registry: string, version: string, repository: string, signal: AbortSignal): Promise<Trial | undefined>
  /** Forgets all that was learned of a registry's versions: after a login, rotation or logout. */
  forgetRegistry(name: string): void
  /** Versions that are held back for all repositories. */
  held(): HeldLogin[]
}

type Hold = { holds: number; sinceMs: number; untilMs: number }
type Login = Hold & { registry: string; version: string; isProven: boolean; refusals: number }

/** Makes a breaker that knows nothing yet. `nowMs` is monotonic, `wallNowMs` counts from 1970. */
export function createLoginBreaker({ nowMs, wallNowMs }: { nowMs(): number; wallNowMs(): number }): LoginBreaker {
  const logins = new LRUCache<string, Login>({ max: MAX_REMEMBERED })
  const places = new LRUCache<string, Hold>({ max: MAX_REMEMBERED })
  const trials = new Map<string, Promise<void>>()
  // Keys are JSON arrays that begin with the registry's name.
  const keyOf = (...parts: string[]) => JSON.stringify(parts)
  const wallTime = (monotonicMs: number) => new Date(wallNowMs() + monotonicMs - nowMs())

  function heldUntilMs(registry: string, version: string, repository: string): number | undefined {
    const holds = [logins.get(keyOf(registry, version)), places.get(keyOf(registry, version, repository))]
    const untilMs = Math.max(...holds.map((hold) => hold?.untilMs ?? -Infinity))
    return untilMs > nowMs() ? untilMs : undefined
  }

  function extend(hold: Hold): void {
    // Those that were on their way together were refused once.
    if (hold.untilMs > nowMs()) return
    if (hold.holds === 0) hold.sinceMs = nowMs()
    hold.untilMs = nowMs() + Math.min(FIRST_HOLD_MS * 2 ** hold.holds, LONGEST_HOLD_MS)
    hold.holds += 1
  }

  function reject(registry: string, version: string): void {
    const key = keyOf(registry, version)
    const login = logins.get(key) ?? { ...noHold(), registry, version, isProven: false, refusals: 0 }
    logins.set(key, login)
    login.refusals += 1
    if (login.isProven && login.refusals < 2) return
    login.isProven = false
    extend(login)
  }

  function deny(registry: string, version: string, repository: string): void {
    const key = keyOf(registry, version, repository)
    const place = places.get(key) ?? noHold()
    places.set(key, place)
    extend(place)
  }

  function accept(registry: string, version: string, repository: string): void {
    logins.set(keyOf(registry, version), { ...noHold(), registry, version, isProven: true, refusals: 0 })
    places.delete(keyOf(registry, version, repository))
  }

  return {
    retryAt(registry, version, repository) {
      const untilMs = heldUntilMs(registry, version, repository)
      return untilMs === undefined ? undefined : wallTime(untilMs)
    },

    async claim(registry, version, repository, signal) {
      const key = keyOf(registry, version)
      const underWay = logins.get(key)?.isProven ? undefined : trials.get(key)
      // Waits once only: a verdict that does not come must not make a queue of those who wait for it.
      if (underWay !== undefined) await orAborted(underWay, signal).catch(() => undefined)
      if (heldUntilMs(registry, version, repository) !== undefined) return undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      const isFirst = !trials.has(key)
      if (isFirst) trials.set(key, promise)
      return {
        accepted: () => accept(registry, version, repository),
        rejected: () => reject(registry, version),
        denied: () => deny(registry, version, repository),
        [Symbol.dispose]: () => {
          if (isFirst) trials.delete(key)
          resolve()
        },
      }
    },

    forgetRegistry(name) {
      const prefix = `[${JSON.stringify(name)},`
      for (const kept of [logins, places]) {
        for (const key of [...kept.keys()].filter((each) => each.startsWith(prefix))) kept.delete(key)
      }
    },

    held: () =>
      [...logins.values()]
        .filter(({ untilMs }) => untilMs > nowMs())
        .map(({ registry, version, sinceMs, untilMs }) => ({
          registry,
          version,
          sinceAt: wallTime(sinceMs),
          retryAt: wallTime(untilMs),
        })),
  }
}

function noHold(): Hold {
  return { holds: 0, sinceMs: 0, untilMs: -Infinity }
}
