import type { Secret } from '../secret.ts'
import type { Keychain } from './keychain.ts'

/**
 * What a store holds below credentials and deletions: texts under keys. All methods throw KEYCHAIN_LOCKED, KEYCHAIN_UNAVAILABLE or
 * KEYCHAIN_CORRUPT when the store cannot be read or written; an item is absent only where a readable store does not hold it.
 */
export interface Items {
  readonly store: Keychain['store']
  /** All items, read at one go. */
  readAll(): Promise<Map<string, Secret>>
  read(key: string): Promise<Secret | undefined>
  /** Durable when it resolves. `undefined` leaves nothing of the item. */
  write(key: string, text: Secret | undefined): Promise<void>
  /** Runs `work` while nobody else who asks for the same key runs his. */
  runLocked<T>(key: string, work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}
