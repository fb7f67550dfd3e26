import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, RegcreddError } from '../errors.ts'
import { lockFile } from '../file-lock.ts'
import { Secret } from '../secret.ts'
import { formatItem, parseItem } from './item.ts'
import { KEY_SIZE_BYTES, MAKE_ONE } from './key-file.ts'
import type { Keychain } from './keychain.ts'
import { createLocks } from './locks.ts'
import { replaceFile, sweepLeftovers } from './replace-file.ts'
import { deriveSealKey, type SealKey, seal, unseal } from './sealed-file.ts'

type Items = Map<string, Secret>

/**
 * A keychain in one encrypted file. `key` is the text of the key file: 32 bytes in base64. One process at a time may open it.
 * A file that is missing in a folder that exists is an empty keychain. Throws KEYCHAIN_UNAVAILABLE for a text that is no key.
 */
export async function openFileKeychain(path: string, key: Secret): Promise<Keychain> {
  const sealKey = parseKey(key)
  const runLocked = createLocks()
  const read = () => readItems(path, sealKey)
  let unlock = () => {}
  if (await folderExists(path)) {
    unlock = await lockAgainstOthers(path)
    await atFileSystem(path, 'swept of leftovers', () => sweepLeftovers(path))
  }
  return {
    store: 'file',
    keys: async () => [...(await read()).keys()].sort(),
    get: async (key) => itemOf(await read(), key),
    // All keys live in one file, so one lock stands for that of every key.
    update: (key, change) =>
      runLocked('file', async () => {
        const items = await read()
        const next = change(itemOf(items, key))
        if (next === undefined && !items.has(key)) return undefined
        if (next === undefined) items.delete(key)
        else items.set(key, formatItem(key, next))
        await writeItems(path, sealKey, items)
        return itemOf(items, key)
      }),
    close: () => runLocked('file', async () => unlock()),
  }
}

/** Two that write in turn would each lose what the other has changed. */
async function lockAgainstOthers(path: string): Promise<() => void> {
  const lock = `${path}.lock`
  const unlock = await atFileSystem(path, 'locked', async () => lockFile(lock, 0o600))
  if (unlock !== undefined) return unlock
  throw new RegcreddError('KEYCHAIN_UNAVAILABLE', `another daemon uses ${path} already (see: fuser -v ${lock})`)
}

function parseKey(key: Secret): SealKey {
  const text = key.reveal().trim()
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== KEY_SIZE_BYTES || bytes.toString('base64') !== text) {
    throw new RegcreddError(
      'KEYCHAIN_UNAVAILABLE',
      `the key of the keychain is not ${KEY_SIZE_BYTES} bytes in base64; ${MAKE_ONE}`,
    )
  }
  return deriveSealKey(bytes)
}

function itemOf(items: Items, key: string) {
  const text = items.get(key)
  return text === undefined ? undefined : parseItem(key, text)
}

async function readItems(path: string, key: SealKey): Promise<Items> {
  const text = await atFileSystem(path, 'read', async () => {
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' && (await folderExists(path))) return undefined
      throw error
    }
  })
  return text === undefined ? new Map() : parseItems(unseal(text, key, path), path)
}

async function writeItems(path: string, key: SealKey, items: Items): Promise<void> {
  const entries = [...items].map(([key, text]) => [key, text.reveal()])
  await atFileSystem(path, 'written', () => replaceFile(path, seal(JSON.stringify(entries), key)))
}

/** Each item stays a text of its own, so that one which cannot be read takes no other with it. */
function parseItems(plain: string, path: string): Items {
  const entries = parseJson(plain)
  if (!Array.isArray(entries) || !entries.every(isEntry)) {
    // Authenticated a moment ago: only a regcredd with this key can have written it.
    throw new RegcreddError(
      'KEYCHAIN_CORRUPT',
      `${path} does not hold what this version writes; was it written by a newer one?`,
    )
  }
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

async function folderExists(path: string): Promise<boolean> {
  try {
    return (await stat(dirname(path))).isDirectory()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

async function atFileSystem<T>(path: string, done: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new RegcreddError(
      'KEYCHAIN_UNAVAILABLE',
      `${path} cannot be ${done} (${errnoOf(cause) ?? 'unknown'}); are its folder and its disk there, with room, and is it owned by the user of the daemon?`,
      { cause },
    )
  }
}
