import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf, RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { readCredential } from '../systemd/credentials.ts'

export const KEY_SIZE_BYTES = 32
export const MAKE_ONE = `make one with: head -c ${KEY_SIZE_BYTES} /dev/urandom | base64`
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

async function readKeyFile(path: string): Promise<Secret> {
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (cause) {
    throw new RegcreddError(
      'KEYCHAIN_UNAVAILABLE',
      `the key file ${path} cannot be opened (${errnoOf(cause) ?? 'unknown'}); let the user of the daemon read it, or ${MAKE_ONE}`,
      { cause },
    )
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
