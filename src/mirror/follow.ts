import { type Fault, fault } from './fault.ts'
import { pauseAfterFault } from './keep-up.ts'
import type { Lists } from './lists.ts'
import type { Meta, Subject } from './objects.ts'
import type { Time } from './time.ts'

/** How long a watch may be without a sign, where nobody says otherwise: two bookmarks and a half. */
export const SILENCE_MS = 150_000
const FIRST_PAUSE_MS = 100
const SECOND_PAUSE_MS = 1_000
const LAST_PAUSE_MS = 30_000
/** A watch that ends sooner counts as a failure, so that one that is cut again and again is not opened in a hot loop. */
const SHORT_LIFE_MS = 5_000

/** What is known of one watch. `heardAtMs` is the time of its last sign of life, bookmarks included. */
export type Following = { subject: Subject; isListed: boolean; heardAtMs: number | undefined; fault: Fault | undefined }

export type Follower = {
  state(): Following
  /** Lists, watches, and begins again whatever happens, until the signal is aborted. Never throws. */
  follow(signal: AbortSignal): Promise<void>
}

/**
 * Follows what a list holds. The client library's informers end for good at their first error; this goes on: after a cut from the
 * last version, after 410 and after silence from a new list, with growing pauses and as `Retry-After` asks. `onList` gets all that there is, `onEvent` what changed since.
 */
export function createFollower(options: {
  lists: Lists
  subject: Subject
  time: Time
  /** How long a watch may be without a sign. The server sends a bookmark each minute. */
  silenceMs: number
  /** After this time a watch that ends is followed by a new list: a watch may also lose something without a word. */
  relistMs: number
  /** How long it may take to open. */
  openMs: number
  /** Whether a list can be true; what is not believed is a fault and changes nothing. */
  believes: (items: Meta[]) => boolean
  onList: (items: Meta[]) => void
  onEvent: (type: 'set' | 'gone', meta: Meta) => void
  /** The connections may be dead without a word. */
  onSilence: () => void
}): Follower {
  const { lists, subject, time } = options
  const state: Following = { subject, isListed: false, heardAtMs: undefined, fault: undefined }
  const nowMs = () => time.now().getTime()
  let version: string | undefined
  let failures = 0
  let listedAtMs = 0

  function heard(): void {
    state.heardAtMs = nowMs()
    state.fault = undefined
  }

  async function list(signal: AbortSignal): Promise<Fault | undefined> {
    const listed = await lists.metas(subject, signal)
    if (!listed.ok) return listed.fault
    if (!options.believes(listed.value.items)) {
      return fault('refused', 'the list that the Kubernetes API gave cannot be true, and is not believed')
    }
    heard()
    version = listed.value.resourceVersion
    listedAtMs = nowMs()
    state.isListed = true
    options.onList(listed.value.items)
    return undefined
  }

  /** Undefined when the watch has ended in peace. */
  async function watch(from: string, signal: AbortSignal): Promise<Fault | undefined> {
    const silence = new AbortController()
    const ended = new AbortController()
    const life = { signAtMs: nowMs(), isOpen: false }
    const on = {
      sign: () => {
        life.signAtMs = nowMs()
        life.isOpen = true
        heard()
      },
      event: (event: Parameters<Parameters<Lists['watch']>[2]['event']>[0]) => {
        if (event.type === 'bookmark') {
          version = event.resourceVersion
          return
        }
        version = event.meta.resourceVersion
        options.onEvent(event.type, event.meta)
      },
    }
    const limitMs = () => (life.isOpen ? options.silenceMs : options.openMs)
    const guarding = guard(life, limitMs, silence, AbortSignal.any([signal, ended.signal]))
    const answer = await lists.watch(subject, from, on, AbortSignal.any([signal, silence.signal]))
    ended.abort()
    await guarding
    if (silence.signal.aborted) return fault('silent', 'the Kubernetes API has been silent for too long')
    return answer.ok ? undefined : answer.fault
  }

  async function guard(
    life: { signAtMs: number },
    limitMs: () => number,
    silence: AbortController,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      const leftMs = Math.min(life.signAtMs + limitMs() - nowMs(), limitMs())
      if (leftMs <= 0) return silence.abort()
      // The limit becomes another when the watch opens.
      await time.sleep(Math.min(leftMs, options.openMs, options.silenceMs), signal).catch(() => undefined)
    }
  }

  async function pause(met: Fault | undefined, signal: AbortSignal): Promise<void> {
    const ownMs =
      failures <= 1 ? FIRST_PAUSE_MS : Math.min(SECOND_PAUSE_MS * 2 ** Math.min(failures - 2, 10), LAST_PAUSE_MS)
    await time.sleep(pauseAfterFault(ownMs, met, time.random()), signal).catch(() => undefined)
  }

  return {
    state: () => ({ ...state }),
    async follow(signal) {
      while (!signal.aborted) {
        let met = version === undefined ? await list(signal) : undefined
        const beganAtMs = nowMs()
        if (met === undefined && version !== undefined) met = await watch(version, signal)
        if (signal.aborted) return
        state.fault = met
        if (met?.kind === 'gone' || met?.kind === 'silent') version = undefined
        if (nowMs() - listedAtMs >= options.relistMs) version = undefined
        if (met?.kind === 'silent') options.onSilence()
        const isOfLongLife = nowMs() - beganAtMs >= SHORT_LIFE_MS
        failures = isOfLongLife ? 1 : failures + 1
        await pause(met, signal)
      }
    },
  }
}
