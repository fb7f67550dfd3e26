import { journalled, reach } from './act-journal.ts'
import type { Changes } from './changes.ts'
import { seeGraceOut } from './grace.ts'
import type { createMirrorRuns } from './mirror-runs.ts'
import type { RotationParts } from './parts.ts'
import { patiently } from './patience.ts'
import { type Run, readRun, subjectOf } from './run.ts'
import { settle } from './settle.ts'
import { isDrivenHere } from './whose.ts'

/** `fresh`: begun a moment ago by this process; `resumed`: found in the keychain at its start. */
export type Since = 'fresh' | 'resumed' | 'resolved'

export type Driver = {
  /** Drives a rotation from where its item has it stand to the beginning of its grace, and sees that out behind. Once at a time for each. */
  drive(key: string, id: string, since: Since): void
  /** Resolves when nothing more will happen to it by itself, or at once when it is not driven. */
  ended(id: string): Promise<void>
  /** Stops driving one; resolves when that has ended. */
  stop(id: string): Promise<void>
  /** What it waits for, as last said. */
  noteOf(id: string): string | undefined
  /** Keeps hold of work that nobody waits for, so that close() can. */
  behind(key: string, work: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

const NOTES_KEPT = 200

type Driven = { ended: Promise<void>; stop: AbortController }

export function createDriver(
  parts: RotationParts,
  mirrorRuns: ReturnType<typeof createMirrorRuns>,
  changes: Changes,
  closing: AbortController,
): Driver {
  const running = new Map<string, Driven>()
  const seen = new Set<string>()
  const tasks = new Set<Promise<void>>()
  const notes = new Map<string, string>()

  function behind(key: string, work: () => Promise<void>): Promise<void> {
    const task = work()
      .catch((thrown: unknown) => parts.onFault(thrown, { key, rotation: undefined }))
      .finally(() => tasks.delete(task))
    tasks.add(task)
    return task
  }

  function runOf(key: string, id: string, signal: AbortSignal): Run {
    const note = (text: string) => {
      notes.delete(id)
      notes.set(id, text)
      const [oldest] = notes.keys()
      if (notes.size > NOTES_KEPT && oldest !== undefined) notes.delete(oldest)
      changes.changed(id)
    }
    return { parts, key, id, signal, note }
  }

  async function mirror(run: Run): Promise<void> {
    const { key, id, signal } = run
    const subject = subjectOf(run)
    const once = () =>
      journalled(
        parts,
        'mirror',
        subject,
        () => mirrorRuns.run(key, signal),
        () => (signal.aborted ? { outcome: 'SHUTTING_DOWN' } : { state: 'MIRRORED' as const }),
      )
    await patiently(parts, key, id, once, signal)
    if (!signal.aborted) await patiently(parts, key, id, () => reach(parts, 'GRACE', subject), signal)
  }

  async function seeThrough(run: Run, since: Since): Promise<void> {
    const { key, id } = run
    const begun = await patiently(parts, key, id, () => readRun(run), run.signal)
    if (begun?.record !== undefined && !isDrivenHere(parts, begun.record)) return
    await settle(run, { isFresh: since === 'fresh' })
    // Whoever stops a rotation before its commit does not stop what follows the commit.
    const onward = runOf(key, id, closing.signal)
    const found = await patiently(parts, key, id, () => readRun(onward), closing.signal)
    if (found?.record?.state !== 'COMMITTED') return
    await mirror(onward)
    if (closing.signal.aborted || seen.has(id)) return
    seen.add(id)
    const again = async () => {
      if (mirrorRuns.resultsOf(key, id)?.some(({ outcome }) => outcome === 'failed')) {
        mirrorRuns.forget(key, id)
        await mirrorRuns.run(key, closing.signal)
      }
      return mirrorRuns.resultsOf(key, id) ?? []
    }
    void behind(key, async () => {
      await seeGraceOut(onward, { isResumed: since === 'resumed' }, again)
      seen.delete(id)
      changes.changed(id)
    })
  }

  return {
    drive(key, id, since) {
      if (running.has(id)) return
      const stop = new AbortController()
      const run = runOf(key, id, AbortSignal.any([closing.signal, stop.signal]))
      const ended = behind(key, () => seeThrough(run, since)).finally(() => {
        running.delete(id)
        changes.changed(id)
      })
      running.set(id, { ended, stop })
    },
    ended: (id) => running.get(id)?.ended ?? Promise.resolve(),
    async stop(id) {
      const driven = running.get(id)
      driven?.stop.abort()
      await driven?.ended
    },
    noteOf: (id) => notes.get(id),
    behind,
    async close() {
      closing.abort()
      await Promise.all(tasks)
    },
  }
}
