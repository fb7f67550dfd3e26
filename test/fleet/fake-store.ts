import type { CanonicalStore, FoundCanonical } from '../../src/fleet/canonical-store.ts'
import { type Entry, formatEntry, parseEntry } from '../../src/keychain/tombstone.ts'
import { type Fault, fault } from '../../src/mirror/fault.ts'

/** What becomes of a call: `lost` is done, and told to have taken too long; after `never` and `after` nothing more comes, and only the latter is done. */
export type Fate = 'done' | 'lost' | 'never' | 'after' | Fault['kind']

/** One Secret that compares and swaps as the API does, and breaks on command. */
export function createFakeStore(key: string) {
  let stored: { text: ReturnType<typeof formatEntry>; version: number } | undefined
  let garbled: string | undefined
  let version = 0
  const calls: string[] = []
  const store = {
    calls,
    /** Asked before each call. */
    fate: (_call: string): Fate => 'done',
    /** Runs before each write is compared. */
    beforeWrite: () => {},
    garble(why: string | undefined) {
      garbled = why
      version += 1
    },
    put(entry: Entry | undefined) {
      version += 1
      stored = entry && { text: formatEntry(key, entry), version }
    },
    entry: (): Entry | undefined => stored && parseEntry(key, stored.text),
  }

  async function answer<T>(
    call: string,
    act: () => T | Fault,
  ): Promise<{ ok: true; value: T } | { ok: false; fault: Fault }> {
    calls.push(call)
    const fate = store.fate(call)
    if (fate === 'never') return new Promise(() => {})
    if (fate !== 'done' && fate !== 'lost' && fate !== 'after')
      return { ok: false, fault: fault(fate, `a ${fate} fault`) }
    const value = act()
    if (fate === 'after') return new Promise(() => {})
    if (isFault(value)) return { ok: false, fault: value }
    return fate === 'lost' ? { ok: false, fault: fault('timeout', 'no answer') } : { ok: true, value }
  }

  const base = (): { uid: string; resourceVersion: string } => ({ uid: 'one', resourceVersion: String(version) })

  const api: CanonicalStore = {
    read: async () =>
      answer<FoundCanonical | undefined>('read', () => {
        if (garbled !== undefined) return { ...base(), garbled }
        return stored && { ...base(), entry: parseEntry(key, stored.text) }
      }),
    create: async (_key, entry) => {
      store.beforeWrite()
      return answer('create', () => {
        if (stored !== undefined) return fault('conflict', 'it is there')
        store.put(entry)
        return base()
      })
    },
    replace: async (_key, entry, { resourceVersion }) => {
      store.beforeWrite()
      return answer('replace', () => {
        if (resourceVersion !== String(version)) return fault('conflict', 'it is another')
        store.put(entry)
        return base()
      })
    },
  }
  return Object.assign(store, { api })
}

function isFault(value: unknown): value is Fault {
  return typeof value === 'object' && value !== null && 'kind' in value
}
