import { Secret } from '../secret.ts'
import { fault } from './faults.ts'
import type { Items } from './items.ts'
import { createKeychain, type Keychain } from './keychain.ts'
import { createLocks } from './locks.ts'
import { type Mark, noMark } from './mark.ts'
import { formatIndex, INDEX_ACCOUNT, parseIndex } from './os-index.ts'
import type { HelperProcess } from './os-process.ts'
import type { LockProbe } from './secret-service.ts'
import type { Witness } from './witness.ts'

/** Few enough that a keyring on a busy node answers one call within its time. */
const ACCOUNTS_A_CALL = 16

export type OsKeychainOptions = {
  /** The service name under which all items are kept. One daemon at a time may use it. */
  service: string
  /** How long the keyring may take to say whether it is locked. */
  timeoutMs: number
  helper: HelperProcess
  /** Absent where the system's keychain says by itself that it is locked. */
  probe: LockProbe | undefined
  /** Absent: a keyring that was emptied before the start is not told from a new one. */
  witness?: Witness | undefined
  /** `read`: beside a daemon that has the items; no name is claimed, and the witness told nothing. Default: `write`. */
  access?: 'read' | 'write' | undefined
  mark?: Mark | undefined
}

/** A keychain in the keyring of the operating system. Nothing is asked of it before the first call. */
export function createOsKeychain(options: OsKeychainOptions): Keychain {
  return createKeychain(createOsItems(options))
}

/** As `createOsKeychain`. */
export function createOsItems(options: OsKeychainOptions): Items {
  const { service, timeoutMs, helper, probe, witness, access = 'write', mark = noMark } = options
  const runLocked = createLocks()
  let wasThere = witness?.hasSeen ?? false

  async function requireUnlocked(): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs)
    if (access === 'write') await probe?.claim(service, signal)
    if ((await probe?.ask(signal)) === 'locked') throw fault('locked')
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
  async function readTexts(accounts: string[]): Promise<(string | undefined)[]> {
    const texts: (string | undefined)[] = []
    for (let start = 0; start < accounts.length; start += ACCOUNTS_A_CALL) {
      const some = accounts.slice(start, start + ACCOUNTS_A_CALL)
      texts.push(...(await whileUnlocked(() => helper.getMany(service, some))))
    }
    if (texts.includes(undefined)) await requireUnlocked()
    return texts
  }

  /** gnome-keyring puts an empty keyring in the place of a file that it cannot read: then all is "absent", the index first. */
  async function readIndex(): Promise<{ text: string | undefined; keys: Set<string> }> {
    const [text] = await readTexts([INDEX_ACCOUNT])
    if (text === undefined && wasThere) throw fault('emptied', { what: 'the keyring' })
    const keys = parseIndex(text)
    if (text !== undefined) await sawIndex()
    return { text, keys }
  }

  async function sawIndex(): Promise<void> {
    wasThere = true
    if (access === 'write') await witness?.saw()
  }

  async function writeText(account: string, text: string): Promise<void> {
    await whileUnlocked(() => helper.call({ do: 'set', service, account, text }))
    const [kept] = await readTexts([account])
    if (kept !== text) throw fault('notKept', { key: account })
  }

  async function changeIndex(change: (keys: Set<string>) => void): Promise<void> {
    await runLocked(INDEX_ACCOUNT, async () => {
      const { text, keys } = await readIndex()
      change(keys)
      const after = formatIndex(keys)
      if (after !== text) await writeText(INDEX_ACCOUNT, after)
      await sawIndex()
    })
  }

  return {
    store: 'os',
    /** The index may list a key without an item, after a crash between the two; never the other way round. */
    async readAll() {
      const keys = [...(await readIndex()).keys]
      const texts = await readTexts(keys)
      return new Map(keys.flatMap((key, at) => (texts[at] === undefined ? [] : [[key, new Secret(texts[at])]])))
    },
    async read(key) {
      const [text] = await readTexts([key])
      if (text !== undefined) return new Secret(text)
      await readIndex()
      return undefined
    },
    async write(key, text) {
      if (text !== undefined) {
        await changeIndex((keys) => keys.add(key))
        mark('keyring: listed')
        await writeText(key, text.reveal())
        mark('keyring: written')
        return
      }
      await whileUnlocked(() => helper.call({ do: 'delete', service, account: key }))
      mark('keyring: deleted')
      await changeIndex((keys) => keys.delete(key))
    },
    runLocked: (key, work) => runLocked(`item ${key}`, work),
    async close() {
      probe?.close()
      await helper.close()
    },
  }
}
