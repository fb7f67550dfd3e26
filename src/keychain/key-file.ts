import { randomBytes } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { readCredential } from '../systemd/credentials.ts'
import { syncFolder, writeDurably } from './replace-file.ts'

export const KEY_SIZE_BYTES = 32
const KEY_CREDENTIAL = 'keychain-key'
/** A key takes 45 bytes; anything much longer is another file named by mistake. */
const MAX_FILE_SIZE_BYTES = 1024
const ALLOWED_MODES = [0o600, 0o400]

/**
 * Finds the text of the key of the file store: in `keyFile`, or without one in the systemd credential `keychain-key`.
 * Throws KEYCHAIN_UNAVAILABLE, with what to do about it, when neither gives one or `keyFile` may be read by others.
 */
export async function findKey(keyFile: string | undefined, environment: NodeJS.ProcessEnv): Promise<Secret> {
  if (keyFile !== undefined) return readKeyFile(keyFile)
  const key = await readCredential(KEY_CREDENTIAL, environment)
  if (key !== undefined) return key
  throw new RegcreddError(
    'KEYCHAIN_UNAVAILABLE',
    `there is no key: set keychain.keyFile, or give the service the systemd credential "${KEY_CREDENTIAL}" (LoadCredentialEncrypted=)`,
  )
}

/**
 * Makes a key file: 32 random bytes in base64, mode 0600, durable. A file that is there already is never touched: 'kept'.
 * Throws KEYCHAIN_UNAVAILABLE when the folder does not let it.
 */
export async function makeKeyFile(path: string): Promise<'made' | 'kept'> {
  try {
    await writeDurably(path, `${randomBytes(KEY_SIZE_BYTES).toString('base64')}\n`)
    await syncFolder(dirname(path))
    return 'made'
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return 'kept'
    throw new RegcreddError(
      'KEYCHAIN_UNAVAILABLE',
      `the key file ${path} cannot be made; is its folder there and writable?`,
      {
        cause,
      },
    )
  }
}

async function readKeyFile(path: string): Promise<Secret> {
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (cause) {
    throw new RegcreddError('KEYCHAIN_UNAVAILABLE', `the key file ${path} cannot be opened; is it there, and yours?`, {
      cause,
    })
  }
  try {
    // Of the open file, so that nobody can put another in its place between the check and the reading.
    const { mode, size } = await handle.stat()
    const permissions = mode & 0o7777
    if (!ALLOWED_MODES.includes(permissions)) {
      const shown = permissions.toString(8).padStart(4, '0')
      throw new RegcreddError(
        'KEYCHAIN_UNAVAILABLE',
        `the key file ${path} has mode ${shown}; chmod 0600 it, and think of who may have read it`,
      )
    }
    if (size > MAX_FILE_SIZE_BYTES)
      throw new RegcreddError('KEYCHAIN_UNAVAILABLE', `${path} is no key file: it is too long`)
    return new Secret(await handle.readFile('utf8'))
  } finally {
    await handle.close()
  }
}
