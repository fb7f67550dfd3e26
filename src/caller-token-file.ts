import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { link, open, readFile, rm, stat } from 'node:fs/promises'
import { errnoOf, RegcreddError } from './errors.ts'
import { type Followed, followFiles } from './followed-files.ts'
import { replaceFile, sweepLeftovers } from './replace-file.ts'
import { Secret } from './secret.ts'

const TOKEN = /^[\w-]{32,255}$/

/**
 * Reads the caller tokens, one a line: the first is the one to give to clients, the others are still good. Makes the file with one
 * token (32 random bytes, base64url, mode 0600) where there is none yet.
 * @throws CONFIG_INVALID if it cannot be read or made, is open to others, or holds no token
 */
export async function readCallerTokens(path: string): Promise<Secret[]> {
  await makeIfMissing(path).catch((cause: NodeJS.ErrnoException) => {
    throw bad(
      path,
      `cannot be made (${cause.code}); make its folder, or give the daemon the right to write there`,
      cause,
    )
  })
  return (await readLines(path)).map((line) => new Secret(line))
}

/**
 * Puts a new token first and keeps the one that was first, so that clients can follow one by one; older ones end.
 * Gives how many are good now.
 * @throws CONFIG_INVALID
 */
export async function rotateCallerToken(path: string): Promise<number> {
  const [current] = await readLines(path)
  return replace(path, [newToken(), ...(current === undefined ? [] : [current])])
}

/**
 * Ends all tokens but the first.
 * @throws CONFIG_INVALID
 */
export async function retireCallerTokens(path: string): Promise<number> {
  return replace(path, (await readLines(path)).slice(0, 1))
}

type FollowLog = Record<'info' | 'error', (fields: Record<string, unknown>, message: string) => void>

/**
 * The caller tokens as they stand in the file: a change is seen within seconds, and a broken file changes nothing.
 * @throws as `readCallerTokens` does, at first
 */
export async function followCallerTokens(path: string, log: FollowLog): Promise<Followed<readonly Secret[]>> {
  const tokens: Followed<readonly Secret[]> = await followFiles([path], () => readCallerTokens(path), {
    onNews(fault) {
      if (fault === undefined) log.info({ good: tokens.now().length }, 'caller tokens')
      else log.error({ err: fault }, 'the caller tokens could not be read again; those from before stay good')
    },
  })
  return tokens
}

async function readLines(path: string): Promise<string[]> {
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) throw bad(path, 'others may read it; chmod 0600')
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    if (lines.every((line) => TOKEN.test(line))) return lines
    throw bad(path, 'it holds no token, or more than tokens; delete it, and the next start makes a new one')
  } catch (thrown) {
    if (thrown instanceof RegcreddError) throw thrown
    throw bad(path, `cannot be read (${errnoOf(thrown)})`, thrown)
  }
}

/** In one step, so that the daemon reads the old tokens or the new ones. */
async function replace(path: string, lines: string[]): Promise<number> {
  try {
    await sweepLeftovers(path)
    // Left by an earlier version that was killed.
    await rm(`${path}.new`, { force: true })
    await replaceFile(path, `${lines.join('\n')}\n`)
    return lines.length
  } catch (thrown) {
    throw bad(path, `cannot be replaced (${errnoOf(thrown)})`, thrown)
  }
}

async function makeIfMissing(path: string): Promise<void> {
  if (existsSync(path)) return
  // Made beside it: what a power cut leaves half-written must not be taken for the file.
  const next = `${path}.${process.pid}.new`
  try {
    await using file = await open(next, 'w', 0o600)
    await file.writeFile(`${newToken()}\n`)
    await file.sync()
    await link(next, path)
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EEXIST') throw thrown
  } finally {
    await rm(next, { force: true })
  }
}

function newToken(): string {
  return randomBytes(32).toString('base64url')
}

function bad(path: string, problem: string, cause?: unknown): RegcreddError {
  return new RegcreddError('CONFIG_INVALID', `proxy.callerTokenFile ${path}: ${problem}`, { cause })
}
