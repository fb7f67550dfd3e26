import { RegcreddError, toRegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import type { Credential } from './credential.ts'
import type { Items } from './items.ts'
import {
  credentialOf,
  type Entry,
  entryAfter,
  entryOrFault,
  formatEntry,
  parseEntry,
  parseTombstone,
} from './tombstone.ts'

/**
 * Where credentials are kept, one item each, keyed by canonical `host` or `host/path`.
 * All methods throw KEYCHAIN_LOCKED, KEYCHAIN_UNAVAILABLE or KEYCHAIN_CORRUPT when the store cannot be read or written:
 * "absent" is only ever said of an item that a readable store does not hold.
 */
export interface Keychain {
  readonly store: 'os' | 'file' | 'memory'
  /** Keys of all stored credentials, sorted. */
  keys(): Promise<string[]>
  /** All credentials, read at one go; in the place of one that cannot be parsed, why: KEYCHAIN_CORRUPT. */
  all(): Promise<Map<string, Credential | RegcreddError>>
  get(key: string): Promise<Credential | undefined>
  /**
   * Changes one credential under that key's lock: `change` gets what is stored and gives what to store, `undefined` to delete it.
   * When `change` throws, nothing is written. When the promise resolves, the change is durable. Gives what is stored now.
   * After a deletion `seq` and the numbers of the versions go on where they were: what `change` gives is renumbered.
   */
  update(
    key: string,
    change: (stored: Credential | undefined) => Credential | undefined,
  ): Promise<Credential | undefined>
  /**
   * Takes over what another node holds, under that key's lock and with nothing renumbered: `decide` gets what is stored, what is left of a deleted
   * credential too, and gives what is to be stored, or `undefined` to leave it as it is. Gives what is stored now.
   */
  replicate(key: string, decide: (stored: Entry | undefined) => Entry | undefined): Promise<Entry | undefined>
  close(): Promise<void>
}

/** The keychain whose items a store holds. */
export function createKeychain(items: Items): Keychain {
  async function read(key: string) {
    const text = await items.read(key)
    return text === undefined ? undefined : parseEntry(key, text)
  }

  const replicate: Keychain['replicate'] = (key, decide) =>
    items.runLocked(key, async () => {
      const stored = await read(key)
      const next = decide(stored)
      if (next === undefined) return stored
      const text = formatEntry(key, next)
      await items.write(key, text)
      return parseEntry(key, text)
    })

  return {
    store: items.store,
    async keys() {
      return [...(await items.readAll())].flatMap(([key, text]) => (isDeleted(key, text) ? [] : [key])).sort()
    },
    async all() {
      const all = new Map<string, Credential | RegcreddError>()
      for (const [key, text] of await items.readAll()) {
        const entry = entryOrFault(key, text)
        const held = entry instanceof RegcreddError ? entry : credentialOf(entry)
        if (held !== undefined) all.set(key, held)
      }
      return all
    },
    get: async (key) => credentialOf(await read(key)),
    async update(key, change) {
      const held = await replicate(key, (stored) => {
        const next = entryAfter(stored, change)
        // What is not there is not deleted twice.
        return next === stored ? undefined : next
      })
      return credentialOf(held)
    },
    replicate,
    close: () => items.close(),
  }
}

/** What cannot be parsed counts as there. */
function isDeleted(key: string, text: Secret): boolean {
  try {
    return parseTombstone(key, text) !== undefined
  } catch (thrown) {
    if (toRegcreddError(thrown).code === 'KEYCHAIN_CORRUPT') return false
    throw thrown
  }
}
