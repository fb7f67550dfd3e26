import { createLocks } from '../keychain/locks.ts'
import type { RotationParts } from './parts.ts'
import { patiently } from './patience.ts'
import { marked } from './points.ts'
import type { MirrorResult } from './ports.ts'

/** The mirror runs after changes of credentials, and what became of each committed rotation's Secrets; in memory only. */
export function createMirrorRuns(parts: RotationParts) {
  const results = new Map<string, Map<string, MirrorResult[]>>()
  const runLocked = createLocks()

  async function runNow(key: string, signal: AbortSignal): Promise<void> {
    const stored = await patiently(parts, key, undefined, () => parts.keychain.get(key), signal)
    const written = await marked(parts.pass, 'mirror run', () => parts.mirror(key, signal))
    if (signal.aborted) return
    const before = results.get(key)
    const after = new Map<string, MirrorResult[]>()
    for (const record of stored?.rotations ?? []) {
      if (record.state === 'COMMITTED') after.set(record.id, before?.get(record.id) ?? written)
    }
    results.set(key, after)
  }

  return {
    resultsOf(key: string, rotationId: string): MirrorResult[] | undefined {
      return results.get(key)?.get(rotationId)
    },

    /** Lets the next run say anew what became of a rotation. */
    forget(key: string, rotationId: string): void {
      results.get(key)?.delete(rotationId)
    },

    /**
     * Mirrors CURRENT of `key`, one run after the other. Every rotation that was committed before the run began is mirrored by it: the Secrets hold
     * its version or a newer one. Ends early, and settles nothing, when the signal is aborted.
     */
    run(key: string, signal: AbortSignal): Promise<void> {
      return runLocked(key, () => runNow(key, signal))
    },
  }
}
