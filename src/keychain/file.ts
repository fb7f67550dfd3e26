import { readFile, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { errnoOf, toRegcreddError } from '../errors.ts'
import { lockFile } from '../file-lock.ts'
import { keepOwner, replaceFile, sweepLeftovers } from '../replace-file.ts'
import { Secret } from '../secret.ts'
import { atFileSystem, fault } from './faults.ts'
import type { Items } from './items.ts'
import { parseKeys } from './key-file.ts'
import { createKeychain, type Keychain } from './keychain.ts'
import { createLocks } from './locks.ts'
import { type Mark, noMark } from './mark.ts'
import { seal, unseal } from './sealed-file.ts'

export type FileItems = Items & {
  /** From now on these are the keys; the file has been encrypted with the first when it resolves. */
  reseal(keys: Secret): Promise<void>
  /** Id of the key that the file is encrypted with now; `undefined`: there is no file. */
  keyId(): Promise<string | undefined>
}

export type FileOptions = {
  /** `read`: while another process has it open, too; writes are refused. Default: `write`. */
  access?: 'read' | 'write'
  mark?: Mark
}

type Read = { texts: Map<string, Secret>; keyId: string | undefined }

/**
 * A keychain in one encrypted file. `keys` is the text of the key file: 32 bytes in base64, one key a line; the first encrypts, the
 * others open what is older. One process at a time may open it. A file that is missing in a folder that exists is an empty keychain.
 * Throws KEYCHAIN_UNAVAILABLE for a text that holds no key, and while another process has it open.
 */
export async function openFileKeychain(path: string, keys: Secret): Promise<Keychain> {
  return createKeychain(await openFileItems(path, keys))
}

/** As `openFileKeychain`. */
export async function openFileItems(path: string, keys: Secret, options: FileOptions = {}): Promise<FileItems> {
  const { access = 'write', mark = noMark } = options
  let sealKeys = parseKeys(keys)
  const runLocked = createLocks()
  let wasThere = false
  let unlock: (() => void) | undefined

  /** Its folder may come after us, with a disk that is mounted late. */
  async function lock(): Promise<void> {
    if (access === 'read' || unlock !== undefined || !(await folderExists(path))) return
    unlock = await lockAgainstOthers(path)
    await atFileSystem(path, 'swept of leftovers', () => sweepLeftovers(path))
  }

  async function read(): Promise<Read> {
    const text = await readText(path)
    // Nobody but us may write it, so it was not deleted by logging out.
    if (text === undefined && wasThere) throw fault('emptied', { what: path })
    if (text === undefined) return { texts: new Map(), keyId: undefined }
    wasThere = true
    const { plain, keyId } = unseal(text, sealKeys, path)
    return { texts: parseItems(plain, path), keyId }
  }

  async function write(texts: Map<string, Secret>): Promise<void> {
    if (access === 'read') throw new TypeError(`${path} was opened to be read`)
    const plain = JSON.stringify([...texts].map(([key, text]) => [key, text.reveal()]))
    await atFileSystem(path, 'written', () => replaceFile(path, seal(plain, sealKeys[0], hostname()), mark))
    wasThere = true
  }

  const items: FileItems = {
    store: 'file',
    readAll: async () => (await read()).texts,
    read: async (key) => (await read()).texts.get(key),
    async write(key, text) {
      const { texts } = await read()
      if (text === undefined) texts.delete(key)
      else texts.set(key, text)
      await write(texts)
    },
    keyId: async () => (await read()).keyId,
    async reseal(keys) {
      sealKeys = parseKeys(keys)
      const { texts, keyId } = await read()
      if (keyId !== undefined && keyId !== sealKeys[0].id) await write(texts)
    },
    // All items live in one file, so one lock stands for that of every key.
    runLocked: (_key, work) => runLocked('file', () => lock().then(work)),
    close: () => runLocked('file', async () => unlock?.()),
  }
  await lock()
  if (access === 'write' && sealKeys.length > 1) await resealIfPossible(items, keys)
  return items
}

/** A disk without room must not keep a daemon from serving what can be read: the next write encrypts with the new key anyway. */
async function resealIfPossible(items: FileItems, keys: Secret): Promise<void> {
  await items.reseal(keys).catch((thrown: unknown) => {
    if (!toRegcreddError(thrown).code.startsWith('KEYCHAIN_')) throw thrown
  })
}

/** Two that write in turn would each lose what the other has changed. */
async function lockAgainstOthers(path: string): Promise<() => void> {
  const lock = `${path}.lock`
  const unlock = await atFileSystem(path, 'locked', async () => lockFile(lock, 0o600))
  if (unlock === undefined) throw fault('otherDaemonFile', { path })
  await atFileSystem(path, 'locked', () => keepOwner(lock, path))
  return unlock
}

async function readText(path: string): Promise<string | undefined> {
  return atFileSystem(path, 'read', async () => {
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' && (await folderExists(path))) return undefined
      throw error
    }
  })
}

/** Each item stays a text of its own, so that one which cannot be read takes no other with it. */
function parseItems(plain: string, path: string): Map<string, Secret> {
  const entries = parseJson(plain)
  // Authenticated a moment ago: only a regcredd with this key can have written it.
  if (!Array.isArray(entries) || !entries.every(isEntry)) throw fault('newer', { where: path })
  return new Map(entries.map(([key, text]) => [key, new Secret(text)]))
}

function parseJson(plain: string): unknown {
  try {
    return JSON.parse(plain)
  } catch {
    // The SyntaxError would quote passwords.
    return undefined
  }
}

function isEntry(entry: unknown): entry is [string, string] {
  return Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === 'string')
}

function folderExists(path: string): Promise<boolean> {
  return atFileSystem(path, 'read', async () => {
    try {
      return (await stat(dirname(path))).isDirectory()
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
  })
}
