import type { Secret } from '../secret.ts'
import { formatItem, parseItem } from './item.ts'
import type { Keychain } from './keychain.ts'

/** A keychain that ends with the process. Items go through the same text as in the durable stores, so that nobody shares an object with it. */
export function createMemoryKeychain(): Keychain {
  const items = new Map<string, Secret>()
  const read = (key: string) => {
    const text = items.get(key)
    return text === undefined ? undefined : parseItem(key, text)
  }
  return {
    store: 'memory',
    keys: async () => [...items.keys()].sort(),
    get: async (key) => read(key),
    // `change` is synchronous and so is all around it: no other update can come between.
    update: async (key, change) => {
      const next = change(read(key))
      if (next === undefined) items.delete(key)
      else items.set(key, formatItem(key, next))
      return read(key)
    },
    close: async () => items.clear(),
  }
}
