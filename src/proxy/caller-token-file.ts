import { randomBytes } from 'node:crypto'
import { open, readFile, stat } from 'node:fs/promises'
import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'

const TOKEN = /^[\w-]{32,255}$/

/**
 * Reads the caller token, or makes it (32 random bytes, base64url, mode 0600) where there is no file yet.
 * @throws CONFIG_INVALID if it cannot be read or made, is open to others, or is no token
 */
export async function readCallerToken(path: string): Promise<Secret> {
  const bad = (problem: string, cause?: unknown) =>
    new RegcreddError('CONFIG_INVALID', `proxy.callerTokenFile ${path}: ${problem}`, { cause })
  await makeIfMissing(path).catch((cause: NodeJS.ErrnoException) => {
    throw bad(`cannot be made (${cause.code}); make its folder, or give the daemon the right to write there`, cause)
  })
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) throw bad('others may read it; chmod 0600')
    const token = (await readFile(path, 'utf8')).trim()
    if (!TOKEN.test(token)) throw bad('it holds no token; delete it, and the next start makes a new one')
    return new Secret(token)
  } catch (thrown) {
    if (thrown instanceof RegcreddError) throw thrown
    throw bad(`cannot be read (${(thrown as NodeJS.ErrnoException).code})`, thrown)
  }
}

async function makeIfMissing(path: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(`${randomBytes(32).toString('base64url')}\n`)
    await file.sync()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown
  }
}
