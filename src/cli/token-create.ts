import { type FileHandle, open, rm } from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { makeAdminToken } from '../admin-token.ts'
import { errnoOf, RegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { type Context, contextOf } from './context.ts'

export type TokenAnswer = {
  id: string
  name: string | null
  scopes: string[]
  createdAt: string
  expiresAt: string
  lastUsedAt: string | null
}

type CreateOptions = { scope: string[]; ttl: number; name?: string; out?: string }

const UNIT_SECONDS: Record<string, number> = { m: 60, h: 3_600, d: 86_400 }

/** Makes the token here: the daemon learns its hash alone, so nobody but who runs this has ever seen it. */
export function addTokenCreate(token: Command): void {
  token
    .command('create')
    .description('make a token and show it, this once')
    .requiredOption('--scope <scope>', 'read, audit:read or rotate:HOST; may be given several times', collect)
    .option('--ttl <duration>', 'how long it is good, such as 90d, 12h or 30m; 366d at most', duration, 90 * 86_400)
    .option('--name <name>', 'who holds it, for the list and the audit')
    .option('--out <file>', 'write it into this new file (mode 0600) and not to stdout')
    .action(async (options: CreateOptions, command: Command) => {
      const { ask, show, isJson, note } = contextOf(command)
      const { id, token, sha256 } = makeAdminToken()
      const { scope: scopes, ttl: ttlSeconds, name, out } = options
      const body = JSON.stringify({ id, sha256, name, scopes, ttlSeconds })
      const made = async () => (await ask({ method: 'POST', path: '/v1/tokens', body })) as TokenAnswer
      const answer = out === undefined ? await made() : await writeOut(out, token, made)
      if (out !== undefined)
        show({ ...answer, file: out }, () => `${out} holds it; it is good until ${answer.expiresAt}`)
      // Alone on stdout, so that a script can take it; it is not to be had again.
      else if (isJson) show({ ...answer, token: token.reveal() }, () => '')
      else process.stdout.write(`${token.reveal()}\n`)
      note(`good for ${answer.scopes.join(', ')} until ${answer.expiresAt}; to end it: regcredd token revoke ${id}`)
      await noteWithoutTls(ask, note)
    })
}

/** A token may be made before there is a door for it, and its maker should know. */
async function noteWithoutTls(ask: Context['ask'], note: Context['note']): Promise<void> {
  const status = (await ask({ method: 'GET', path: '/v1/status' })) as { admin?: { tls: string | null } }
  if (status.admin?.tls === null) note('admin.tls is not configured: nobody can use the token yet')
}

/** The file is there before the token is: what cannot be written is not made. Throws USAGE. */
async function writeOut(path: string, token: Secret, made: () => Promise<TokenAnswer>): Promise<TokenAnswer> {
  await using file = await create(path)
  try {
    await file.writeFile(`${token.reveal()}\n`)
    await file.sync()
    return await made()
  } catch (thrown) {
    await rm(path, { force: true })
    throw thrown
  }
}

async function create(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (cause) {
    const code = errnoOf(cause)
    const why = code === 'EEXIST' ? 'is there already; name a new file' : `cannot be made (${code})`
    throw new RegcreddError('USAGE', `--out ${path} ${why}`, { cause })
  }
}

function collect(scope: string, before: string[] = []): string[] {
  return [...before, scope]
}

function duration(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,7})([mhd])$/.exec(text) ?? []
  const seconds = Number(digits) * (UNIT_SECONDS[unit] ?? Number.NaN)
  if (seconds >= 60 && seconds <= 366 * 86_400) return seconds
  throw new InvalidArgumentError('It must be a number with m, h or d, from 1m to 366d.')
}
