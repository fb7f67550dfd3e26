import type { Credential } from './credential.ts'

/**
 * Where credentials are kept, one item each, keyed by canonical `host` or `host/path`.
 * All methods throw KEYCHAIN_LOCKED, KEYCHAIN_UNAVAILABLE or KEYCHAIN_CORRUPT when the store cannot be read or written:
 * "absent" is only ever said of an item that a readable store does not hold.
 */
export interface Keychain {
  readonly store: 'os' | 'file' | 'memory'
  /** Keys of all stored credentials, sorted. */
  keys(): Promise<string[]>
  get(key: string): Promise<Credential | undefined>
  /**
   * Changes one credential under that key's lock: `change` gets what is stored and gives what to store, `undefined` to delete it.
   * When `change` throws, nothing is written. When the promise resolves, the change is durable. Gives what is stored now.
   */
  update(
    key: string,
    change: (stored: Credential | undefined) => Credential | undefined,
  ): Promise<Credential | undefined>
  close(): Promise<void>
}
