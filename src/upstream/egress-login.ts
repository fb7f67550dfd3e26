import { open } from 'node:fs/promises'
import { errnoOf, RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { readCredential } from '../systemd/credentials.ts'
import type { Login } from './authorization.ts'

const CREDENTIAL = 'egress-proxy'
const MAX_FILE_BYTES = 4096

/**
 * The login at the egress proxy: from `egress.credentialsFile`, or without one from the systemd credential `egress-proxy`, if there is one.
 * @throws CONFIG_INVALID for a file that cannot be read, may be read by others, or holds no `user:password`
 */
export async function readEgressLogin(
  credentialsFile: string | undefined,
  environment: NodeJS.ProcessEnv,
): Promise<Login | undefined> {
  if (credentialsFile !== undefined)
    return parseLogin(await readOwnFile(credentialsFile), `${credentialsFile} (egress.credentialsFile)`)
  const text = await readCredential(CREDENTIAL, environment)
  return text && parseLogin(text, `the systemd credential "${CREDENTIAL}"`)
}

function parseLogin(text: Secret, from: string): Login {
  const [, username, password] = /^([^:\r\n]+):([^\r\n]*)\r?\n?$/.exec(text.reveal()) ?? []
  if (username === undefined || password === undefined)
    throw new RegcreddError('CONFIG_INVALID', `${from} must hold one line, user:password`)
  return { username, secret: new Secret(password) }
}

async function readOwnFile(path: string): Promise<Secret> {
  try {
    await using handle = await open(path, 'r')
    const { mode, size } = await handle.stat()
    if ((mode & 0o077) !== 0)
      throw new RegcreddError(
        'CONFIG_INVALID',
        `${path} (egress.credentialsFile) may be read by others: chmod 0600 it, and change the password`,
      )
    if (size > MAX_FILE_BYTES)
      throw new RegcreddError('CONFIG_INVALID', `${path} (egress.credentialsFile) is too long for a user:password`)
    return new Secret(await handle.readFile('utf8'))
  } catch (thrown) {
    if (thrown instanceof RegcreddError) throw thrown
    const reason = errnoOf(thrown) ?? 'unknown reason'
    throw new RegcreddError('CONFIG_INVALID', `${path} (egress.credentialsFile) cannot be read: ${reason}`, {
      cause: thrown,
    })
  }
}
