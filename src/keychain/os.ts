import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Credential } from './credential.ts'
import { formatItem, parseItem } from './item.ts'
import type { Keychain } from './keychain.ts'
import { createLocks } from './locks.ts'
import { formatIndex, INDEX_ACCOUNT, parseIndex } from './os-index.ts'
import type { HelperProcess } from './os-process.ts'
import type { LockProbe } from './secret-service.ts'

export type OsKeychainOptions = {
  /** The service name under which all items are kept. One daemon at a time may use it. */
  service: string
  /** How long the keyring may take to say whether it is locked. */
  timeoutMs: number
  helper: HelperProcess
  /** Absent where the system's keychain says by itself that it is locked. */
  probe: LockProbe | undefined
}

/** A keychain in the keyring of the operating system. Nothing is asked of it before the first call. */
export function createOsKeychain({ service, timeoutMs, helper, probe }: OsKeychainOptions): Keychain {
  const runLocked = createLocks()

  async function requireUnlocked(): Promise<void> {
    if ((await probe?.ask(AbortSignal.timeout(timeoutMs))) !== 'locked') return
    throw new RegcreddError(
      'KEYCHAIN_LOCKED',
      'log in to the desktop, or restart gnome-keyring-daemon with --unlock and the password of the keyring on its standard input',
    )
  }

  /** Runs calls on a keyring that was unlocked before them; an error is looked into, as a keyring can be locked at any time. */
  async function whileUnlocked<T>(work: () => Promise<T>): Promise<T> {
    await requireUnlocked()
    try {
      return await work()
    } catch (error) {
      await requireUnlocked()
      throw error
    }
  }

  /** keytar reads a locked keyring as empty, so an absence counts only if the keyring is unlocked before and after. */
  async function readText(account: string): Promise<string | undefined> {
    const text = await whileUnlocked(() => helper.call({ do: 'get', service, account }))
    if (text === undefined) await requireUnlocked()
    return text
  }

  async function writeText(account: string, text: string): Promise<void> {
    await whileUnlocked(() => helper.call({ do: 'set', service, account, text }))
    if ((await readText(account)) === text) return
    throw new RegcreddError('KEYCHAIN_UNAVAILABLE', `the keyring did not keep what was written for ${account}`)
  }

  async function readItem(key: string): Promise<Credential | undefined> {
    const text = await readText(key)
    return text === undefined ? undefined : parseItem(key, new Secret(text))
  }

  async function changeIndex(change: (keys: Set<string>) => void): Promise<void> {
    await runLocked(INDEX_ACCOUNT, async () => {
      const before = await readText(INDEX_ACCOUNT)
      const keys = parseIndex(before)
      change(keys)
      const after = formatIndex(keys)
      if (after !== before) await writeText(INDEX_ACCOUNT, after)
    })
  }

  /** The index may list a key without an item, after a crash between the two; never the other way round. */
  async function readKeys(): Promise<string[]> {
    const listed = [...parseIndex(await readText(INDEX_ACCOUNT))].sort()
    const found: string[] = []
    for (const key of listed) {
      if ((await readText(key)) !== undefined) found.push(key)
    }
    return found
  }

  return {
    store: 'os',
    keys: readKeys,
    get: readItem,
    update: (key, change) =>
      runLocked(`item ${key}`, async () => {
        const stored = await readItem(key)
        const next = change(stored)
        if (next !== undefined) {
          const text = formatItem(key, next)
          await changeIndex((keys) => keys.add(key))
          await writeText(key, text.reveal())
          return parseItem(key, text)
        }
        if (stored !== undefined) await whileUnlocked(() => helper.call({ do: 'delete', service, account: key }))
        await changeIndex((keys) => keys.delete(key))
        return undefined
      }),
    async close() {
      probe?.close()
      await helper.close()
    },
  }
}
