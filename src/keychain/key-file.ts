import { randomBytes } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf } from '../errors.ts'
import { replaceFile } from '../replace-file.ts'
import { Secret } from '../secret.ts'
import { readCredential } from '../systemd/credentials.ts'
import { atFileSystem, fault } from './faults.ts'
import type { Mark } from './mark.ts'
import { deriveSealKey, type SealKey } from './sealed-file.ts'

const KEY_SIZE_BYTES = 32
const KEY_CREDENTIAL = 'keychain-key'
/** A key takes 45 bytes, and a file holds a few at most; anything much longer is another file named by mistake. */
const MAX_FILE_SIZE_BYTES = 1024
const ALLOWED_MODES = [0o600, 0o400]

/**
 * Finds the text of the keys of the file store: in `keyFile`, or without one in the systemd credential `keychain-key`.
 * Throws KEYCHAIN_UNAVAILABLE, with what to do about it, when neither gives one or `keyFile` may be read by others.
 */
export async function findKey(keyFile: string | undefined, environment: NodeJS.ProcessEnv): Promise<Secret> {
  if (keyFile !== undefined) return readKeyFile(keyFile)
  const key = await readCredential(KEY_CREDENTIAL, environment)
  if (key !== undefined) return key
  throw fault('noKey')
}

/**
 * The keys in such a text, one a line: the first is the one to encrypt with, with the others older files can still be opened.
 * Throws KEYCHAIN_UNAVAILABLE where a line is no key.
 */
export function parseKeys(text: Secret): [SealKey, ...SealKey[]] {
  const [first, ...others] = linesOf(text).map((line) => {
    const bytes = Buffer.from(line, 'base64')
    if (bytes.length !== KEY_SIZE_BYTES || bytes.toString('base64') !== line) throw fault('keyMalformed')
    return deriveSealKey(bytes)
  })
  if (first === undefined) throw fault('keyMalformed')
  return [first, ...others]
}

/** The same keys behind a new one, which is then the one to encrypt with. */
export function withNewKey(text: Secret): Secret {
  return new Secret([randomBytes(KEY_SIZE_BYTES).toString('base64'), ...linesOf(text)].join('\n'))
}

/** Only the key to encrypt with. */
export function firstKey(text: Secret): Secret {
  return new Secret(linesOf(text)[0] ?? '')
}

/** Replaces a key file in one step, for the same owner. Throws KEYCHAIN_UNAVAILABLE. */
export async function writeKeyFile(path: string, text: Secret, mark: Mark): Promise<void> {
  await atFileSystem(path, 'written', () => replaceFile(path, `${linesOf(text).join('\n')}\n`, mark))
}

/** The lines of a text of keys, without those that are empty. */
function linesOf(text: Secret): string[] {
  return text
    .reveal()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

async function readKeyFile(path: string): Promise<Secret> {
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (cause) {
    throw fault('keyUnreadable', { path, errno: errnoOf(cause) ?? 'unknown' }, cause)
  }
  try {
    // Of the open file, so that nobody can put another in its place between the check and the reading.
    const { mode, size } = await handle.stat()
    const permissions = mode & 0o7777
    if (!ALLOWED_MODES.includes(permissions)) {
      const shown = permissions.toString(8).padStart(4, '0')
      throw fault('keyOpen', { path, mode: shown })
    }
    if (size > MAX_FILE_SIZE_BYTES) throw fault('keyMalformed')
    return new Secret(await handle.readFile('utf8'))
  } finally {
    await handle.close()
  }
}
