import type { Fault } from '../mirror/fault.ts'
import { createFollower } from '../mirror/follow.ts'
import { pauseAfterFault, spread } from '../mirror/keep-up.ts'
import type { Lists } from '../mirror/lists.ts'
import { secretNameOf } from './names.ts'
import type { Replica } from './replica.ts'
import type { Time } from './time.ts'

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000

/**
 * Keeps one replica in step: at every change that the watch tells of, after faults with growing pauses, and from time to time all the same. Runs until the
 * signal is aborted, and never throws.
 */
export async function keepSynced(
  parts: {
    key: string
    namespace: string
    replica: Replica
    lists: Lists
    time: Time
    resyncMs: number
    silenceMs: number
    openMs: number
    onSilence: () => void
    /** The keychain failed; it is tried again. Must not throw. */
    onFault: (key: string, thrown: unknown) => void
  },
  signal: AbortSignal,
): Promise<void> {
  const { key, replica, time } = parts
  let wake = new AbortController()

  function look(version: string | undefined): void {
    if (version !== undefined && version === replica.seenVersion() && replica.state().standing === 'synced') return
    wake.abort()
  }

  const follower = createFollower({
    lists: parts.lists,
    subject: { kind: 'secrets', name: secretNameOf(key), namespace: parts.namespace },
    time,
    silenceMs: parts.silenceMs,
    openMs: parts.openMs,
    relistMs: parts.resyncMs,
    believes: () => true,
    onList: (items) => look(items[0]?.resourceVersion),
    onEvent: (type, meta) => look(type === 'set' ? meta.resourceVersion : undefined),
    onSilence: parts.onSilence,
  })

  async function once(): Promise<Fault | 'keychain' | undefined> {
    try {
      return await replica.sync(signal)
    } catch (thrown) {
      if (!signal.aborted) parts.onFault(key, thrown)
      return 'keychain'
    }
  }

  async function keep(): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      wake = new AbortController()
      const met = await once()
      failures = met === undefined ? 0 : failures + 1
      const retryMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), LAST_RETRY_MS)
      // Whatever came while it was being read is read again at once; but not in a hot loop where it fails.
      if (met !== undefined) wake = new AbortController()
      const pauseMs =
        met === undefined
          ? spread(parts.resyncMs, time.random())
          : pauseAfterFault(retryMs, met === 'keychain' ? undefined : met, time.random())
      await time.sleep(pauseMs, AbortSignal.any([signal, wake.signal])).catch(() => undefined)
    }
  }

  await Promise.all([follower.follow(signal), keep()])
}
