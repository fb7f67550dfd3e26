import { setTimeout as sleep } from 'node:timers/promises'
import type { KnownKeychain } from './known.ts'
import type { Seen } from './seen.ts'

const LOOK_EVERY_MS = 2_000
const REFRESH_EVERY_MS = 60_000

export type FreshOptions = {
  /** Milliseconds since 1970, as `Date.now`. */
  clock: () => number
  /** Told after the first reading and whenever the state or the code has changed since, whoever met it first. */
  onNews: (seen: Seen) => void
  lookEveryMs?: number
  refreshEveryMs?: number
}

/**
 * Reads the keychain now, and from then on every minute; every two seconds while it cannot be read, so that one that was unlocked or
 * restarted is soon seen to be back. Resolves after the first reading, whatever came of it. `close` waits for a reading under way.
 */
export async function keepFresh(
  keychain: KnownKeychain,
  { clock, onNews, lookEveryMs = LOOK_EVERY_MS, refreshEveryMs = REFRESH_EVERY_MS }: FreshOptions,
): Promise<{ close(): Promise<void> }> {
  const closing = new AbortController()
  let refreshedAtMs = 0
  let told: Seen | undefined

  async function look(): Promise<void> {
    keychain.dropStale()
    const waitedMs = clock() - refreshedAtMs
    const isDue = waitedMs >= refreshEveryMs || waitedMs < 0
    if (isDue || keychain.seen().state !== 'ready') {
      await keychain.refresh()
      refreshedAtMs = clock()
    }
    const seen = keychain.seen()
    if (told !== undefined && seen.state === told.state && seen.code === told.code) return
    told = seen
    onNews(seen)
  }

  async function goOn(): Promise<void> {
    while (!closing.signal.aborted) {
      await sleep(lookEveryMs, undefined, { signal: closing.signal, ref: false }).catch(() => undefined)
      if (!closing.signal.aborted) await look()
    }
  }

  await look()
  const ended = goOn()
  return {
    async close() {
      closing.abort()
      await ended
    },
  }
}
