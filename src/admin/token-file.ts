import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import { errnoOf, RegcreddError } from '../errors.ts'
import { replaceFile, sweepLeftovers } from '../replace-file.ts'

const MAX_FILE_BYTES = 1024 * 1024

const time = z.iso.datetime()

/** A token as it is kept: not the token, but its hash. */
const keptToken = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  name: z.string().max(64).nullable(),
  scopes: z.array(z.string()).min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: time,
  expiresAt: time,
  lastUsedAt: time.nullable(),
})
export type KeptToken = z.infer<typeof keptToken>

const form = z.strictObject({ schema: z.literal(1), tokens: z.array(keptToken) })

/** The tokens of a file; one that is not there holds none. Throws TOKENS_UNAVAILABLE, with what to do. */
export async function readTokenFile(path: string): Promise<KeptToken[]> {
  let text: string
  try {
    const { mode, size } = await stat(path)
    // Who may write it could add a token; who may read it learns who may do what.
    if ((mode & 0o077) !== 0) throw unavailable(path, 'others may use it; chmod 0600')
    if (size > MAX_FILE_BYTES) throw unavailable(path, 'it is larger than 1 MiB')
    text = await readFile(path, 'utf8')
    await sweepLeftovers(path)
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return []
    throw thrown instanceof RegcreddError ? thrown : unavailable(path, `cannot be read (${errnoOf(thrown)})`, thrown)
  }
  try {
    return form.parse(JSON.parse(text)).tokens
  } catch (cause) {
    throw unavailable(path, 'it is no file of tokens, or of a later version; moved away, all tokens are revoked', cause)
  }
}

/** Puts these tokens in the place of those that the file held, in one step. Throws TOKENS_UNAVAILABLE; the file is as it was then. */
export async function writeTokenFile(path: string, tokens: KeptToken[]): Promise<void> {
  try {
    await replaceFile(path, `${JSON.stringify({ schema: 1, tokens }, undefined, 2)}\n`)
  } catch (cause) {
    throw unavailable(path, `cannot be written (${errnoOf(cause)})`, cause)
  }
}

function unavailable(path: string, problem: string, cause?: unknown): RegcreddError {
  return new RegcreddError('TOKENS_UNAVAILABLE', `${path}: ${problem}`, { cause })
}
