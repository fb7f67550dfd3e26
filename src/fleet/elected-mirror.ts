import type { MirrorRoom } from '../mirror/mirror.ts'
import type { MirrorResult } from '../rotation/ports.ts'
import type { Fleet } from './fleet.ts'
import type { Mirrored } from './node-note.ts'

const POLL_MS = 500
/** A rotation on a node that does not write waits so long for the one that does. */
const PATIENCE_MS = 30_000

type Term = { room: MirrorRoom; ended: AbortController; told: Map<string, Mirrored>; isRetelling: boolean }

export type ElectedMirror = MirrorRoom & {
  /** Leadership was won, or is over. */
  lead(leads: boolean): void
  /** A credential was taken over from another node. */
  adopted(key: string): void
}

/**
 * The mirror of a fleet: while this node leads, a room that follows and writes; else the word of the one that does. Each term has a room of its own, so
 * that nothing which an earlier term has read is written in a later one.
 */
export function electMirror(parts: {
  /** A room whose writes ask `mayWrite`; it calls `onChange` when something has become of a Secret. */
  makeRoom: (onChange: () => void) => MirrorRoom
  fleet: Pick<Fleet, 'mirrored' | 'mirroredOf'>
  /** Canonical keys that some mirror names. */
  keys: string[]
  seqOf: (key: string) => Promise<number | undefined>
  sleep: (durationMs: number, signal: AbortSignal) => Promise<unknown>
  steadyMs: () => number
  /** Nobody waits for what failed; the next term or resync does it again. Must not throw. */
  onFault: (thrown: unknown) => void
}): ElectedMirror {
  const { fleet, keys } = parts
  // Never started: it answers what needs no cluster, and the check of rights.
  const idle = parts.makeRoom(() => undefined)
  const closing = new AbortController()
  const tasks = new Set<Promise<unknown>>()
  let term: Term | undefined

  function behind(work: () => Promise<unknown>): void {
    const task = work()
      .catch(parts.onFault)
      .finally(() => tasks.delete(task))
    tasks.add(task)
  }

  async function write(room: MirrorRoom, key: string, signal: AbortSignal): Promise<MirrorResult[]> {
    // Read before: the Secrets hold this version or a newer one.
    const seq = await parts.seqOf(key)
    const results = await room.mirror(key, signal)
    const failed = results.filter(({ outcome }) => outcome === 'failed' || outcome === 'foreign').length
    if (!signal.aborted && term?.room === room) {
      term.told.set(key, { seq: seq ?? 0, total: results.length, failed })
      fleet.mirrored(key, { seq: seq ?? 0, total: results.length, failed })
    }
    return results
  }

  /** What could not be written at first may have been since: whoever waits for it must learn that. */
  async function retell(of: Term): Promise<void> {
    await parts.sleep(POLL_MS, of.ended.signal).catch(() => undefined)
    of.isRetelling = false
    if (term !== of) return
    for (const [key, before] of of.told) {
      const all = of.room.results().filter(({ registries }) => registries.includes(key))
      const failed = all.filter(({ outcome }) => outcome === 'failed' || outcome === 'foreign').length
      if (before.total === all.length && before.failed === failed) continue
      of.told.set(key, { seq: before.seq, total: all.length, failed })
      fleet.mirrored(key, { seq: before.seq, total: all.length, failed })
    }
  }

  function begin(): Term {
    const made: Term = {
      room: parts.makeRoom(() => {
        if (made.isRetelling || term !== made) return
        made.isRetelling = true
        behind(() => retell(made))
      }),
      ended: new AbortController(),
      told: new Map(),
      isRetelling: false,
    }
    return made
  }

  async function ask(key: string, signal: AbortSignal): Promise<MirrorResult[]> {
    const seq = (await parts.seqOf(key)) ?? 0
    const untilMs = parts.steadyMs() + PATIENCE_MS
    const told = (outcome: 'updated' | 'failed', detail: string): MirrorResult[] => [
      { namespace: '*', secretName: '*', outcome, detail },
    ]
    while (!signal.aborted) {
      if (term !== undefined) return write(term.room, key, AbortSignal.any([signal, term.ended.signal]))
      const mirrored = await fleet.mirroredOf(key, signal)
      if (mirrored !== undefined && mirrored.seq >= seq) {
        const { total, failed } = mirrored
        if (failed === 0) return told('updated', `${total} Secrets, written by the node that leads the fleet`)
        return told('failed', `${failed} of ${total} Secrets are not written yet by the node that leads the fleet`)
      }
      if (parts.steadyMs() >= untilMs) break
      await parts.sleep(POLL_MS, signal).catch(() => undefined)
    }
    return told('failed', 'the node that leads the fleet has not told yet that it has written the Secrets')
  }

  const room = () => term?.room ?? idle

  return {
    async mirror(key, signal) {
      return keys.includes(key) ? ask(key, AbortSignal.any([signal, closing.signal])) : []
    },
    plan: (key) => room().plan(key),
    results: () => term?.room.results() ?? [],
    stale: () => term?.room.stale() ?? false,
    watches: () => term?.room.watches() ?? [],
    check: (signal) => room().check(signal),
    start: () => undefined,
    lead(leads) {
      const before = term
      term = undefined
      before?.ended.abort()
      if (before !== undefined) behind(() => before.room.close())
      if (!leads || closing.signal.aborted) return
      const made = begin()
      term = made
      made.room.start()
      for (const key of keys) behind(() => write(made.room, key, made.ended.signal))
    },
    adopted(key) {
      const now = term
      if (now !== undefined && keys.includes(key)) behind(() => write(now.room, key, now.ended.signal))
    },
    async close() {
      closing.abort()
      const last = term
      term = undefined
      last?.ended.abort()
      await last?.room.close()
      await Promise.all(tasks)
      await idle.close()
    },
  }
}
