import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'

/** systemd's own limit on all credentials of a unit together (systemd.exec(5), LoadCredential=). */
const MAX_SIZE_BYTES = 1024 * 1024
const CREDENTIAL_NAME = /^[A-Za-z0-9._-]{1,255}$/

/**
 * Reads a credential that systemd handed to the service (`LoadCredential=`, `LoadCredentialEncrypted=`, `SetCredential=`).
 * Gives `undefined` where the process has no credentials or none of this name.
 * Throws CONFIG_INVALID when it is there and cannot be read, is larger than 1 MiB or no text.
 * Source: https://systemd.io/CREDENTIALS/. The mode of the file is systemd's affair: it may carry an ACL, which shows as group bits.
 */
export async function readCredential(name: string, environment: NodeJS.ProcessEnv): Promise<Secret | undefined> {
  const folder = environment['CREDENTIALS_DIRECTORY']
  if (folder === undefined || folder === '') return undefined
  if (!CREDENTIAL_NAME.test(name) || /^\.+$/.test(name)) throw new RangeError('not a credential name')
  const path = join(folder, name)
  try {
    const { size } = await stat(path)
    if (size > MAX_SIZE_BYTES) throw new RangeError('larger than 1 MiB')
    return new Secret(new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw new RegcreddError(
      'CONFIG_INVALID',
      `the systemd credential "${name}" cannot be read: it must be text of at most 1 MiB, readable to the service`,
      { cause: error },
    )
  }
}
