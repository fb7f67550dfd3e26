import { setTimeout as sleep } from 'node:timers/promises'
import type { KnownKeychain } from './known.ts'
import type { Seen } from './seen.ts'

const LOOK_EVERY_MS = 2_000
const REFRESH_EVERY_MS = 60_000

export type FreshOptions = {
  /** Told after the first reading and whenever the state or the code has changed since, whoever met it first. */
  onNews: (seen: Seen) => void
  lookEveryMs?: number
  refreshEveryMs?: number
}

/**
 * Reads the keychain now, and from then on every minute; every two seconds while it cannot be read, so that one that was unlocked or
 * restarted is soon seen to be back. Otherwise it wakes nobody, unless plaintext has to go in time. Resolves after the first reading, whatever came of it. `close` waits for a reading
 * under way.
 */
export async function keepFresh(
  keychain: KnownKeychain,
  { onNews, lookEveryMs = LOOK_EVERY_MS, refreshEveryMs = REFRESH_EVERY_MS }: FreshOptions,
): Promise<{ close(): Promise<void> }> {
  const closing = new AbortController()
  let resting: AbortController | undefined
  let refreshAtMs = 0
  let told: Seen | undefined

  async function look(): Promise<void> {
    if (performance.now() >= refreshAtMs || keychain.seen().state !== 'ready') {
      await keychain.refresh()
      refreshAtMs = performance.now() + refreshEveryMs
    }
    const seen = keychain.seen()
    if (isTold(seen)) return
    told = seen
    onNews(seen)
  }

  const isTold = (seen: Seen) => told !== undefined && seen.state === told.state && seen.code === told.code

  /** Until the next reading, or until somebody meets the store in another state; not for long where something known is to be dropped in time. */
  async function rest(): Promise<void> {
    resting = new AbortController()
    // That time goes on while the machine sleeps, and timers do not: it is looked for.
    const untilMs = keychain.dropStale() ? lookEveryMs : refreshAtMs - performance.now()
    await pause(untilMs, AbortSignal.any([closing.signal, resting.signal]))
    resting = undefined
  }

  async function goOn(): Promise<void> {
    while (!closing.signal.aborted) {
      if (isCalm()) await rest()
      // Not at once: a store that comes and goes is neither read nor told of more often than this.
      if (!isCalm()) await pause(lookEveryMs, closing.signal)
      keychain.dropStale()
      if (!closing.signal.aborted) await look()
    }
  }

  const isCalm = () => keychain.seen().state === 'ready' && isTold(keychain.seen())

  await look()
  keychain.onSeen(() => resting?.abort())
  const ended = goOn()
  return {
    async close() {
      closing.abort()
      await ended
    },
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined)
}
