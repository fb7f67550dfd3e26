import type { Secret } from '../secret.ts'
import type { Items } from './items.ts'
import { createKeychain, type Keychain } from './keychain.ts'
import { createLocks } from './locks.ts'

/** A keychain that ends with the process. Items are texts as in the durable stores, so that nobody shares an object with it. */
export function createMemoryKeychain(): Keychain {
  return createKeychain(createMemoryItems())
}

export function createMemoryItems(): Items {
  const items = new Map<string, Secret>()
  return {
    store: 'memory',
    readAll: async () => new Map(items),
    read: async (key) => items.get(key),
    async write(key, text) {
      if (text === undefined) items.delete(key)
      else items.set(key, text)
    },
    runLocked: createLocks(),
    close: async () => items.clear(),
  }
}
