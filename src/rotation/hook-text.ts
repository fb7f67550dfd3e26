import { Secret } from '../secret.ts'
import type { HookInput, Made } from './ports.ts'

const PREFIX = 'note: '
const MAX_NOTE = 160
/** What Basic authentication can carry: a colon ends the username, and registries take no NUL or line break. */
const USERNAME = /^[^:\u0000-\u001f\u007f-\u009f]{1,255}$/
const SECRET = /^[^\0\r\n]+$/
/** Shorter pieces of a secret would be found in ordinary words. */
const PIECE = 6
/** A run of characters that could be a key or a token of the hook's own. */
const LONG_RUN = /[A-Za-z0-9+/=_~.-]{20,}/g

/** What a hook reads: one line of JSON. */
export function hookLine(input: HookInput): string {
  const { oldSecret, newSecret, ...rest } = input
  return `${JSON.stringify({ version: 1, ...rest, oldSecret: oldSecret.reveal(), newSecret: newSecret.reveal() })}\n`
}

/**
 * The secret that the registry has made itself, where the hook prints `{"secret": …, "username"?, "expiresAt"?}` and nothing else; `undefined` where it
 * prints nothing. Nothing of a malformed answer is passed on, for it may hold a secret.
 */
export function readAnswer(stdout: string): Made | undefined | 'malformed' {
  if (stdout.trim() === '') return undefined
  const answer = parse(stdout)
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return 'malformed'
  const { secret, username, expiresAt, ...rest } = answer as Record<string, unknown>
  if (Object.keys(rest).length > 0) return 'malformed'
  if (typeof secret !== 'string' || !secret.isWellFormed() || !SECRET.test(secret)) return 'malformed'
  if (username !== undefined && (typeof username !== 'string' || !USERNAME.test(username))) return 'malformed'
  if (expiresAt !== undefined && (typeof expiresAt !== 'string' || Number.isNaN(Date.parse(expiresAt))))
    return 'malformed'
  return {
    secret: new Secret(secret),
    ...(username === undefined ? {} : { username }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The SyntaxError would quote the text.
    return undefined
  }
}

/**
 * The last line of stderr that begins with `note: `, with a colon before it, or nothing. It goes into logs and answers: other lines are dropped, long runs
 * of characters are masked, and a note with a piece of either secret in it, in any common spelling, is withheld as a whole.
 */
export function safeNote(stderr: string, { oldSecret, newSecret }: Pick<HookInput, 'oldSecret' | 'newSecret'>): string {
  const line = stderr
    .split('\n')
    .findLast((one) => one.startsWith(PREFIX))
    ?.slice(PREFIX.length)
    .trim()
  if (line === undefined || line === '') return ''
  if ([oldSecret, newSecret].some((secret) => holdsPiece(line, secret.reveal()))) {
    return ': its note is withheld, for it may hold a secret'
  }
  const plain = line.replace(/[^\x20-\x7e]/g, '?').replace(LONG_RUN, '[…]')
  return `: ${plain.slice(0, MAX_NOTE)}`
}

function holdsPiece(text: string, secret: string): boolean {
  const bytes = Buffer.from(secret)
  const spellings = [
    secret,
    [...secret].reverse().join(''),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('hex'),
    // In base64 a text looks in three ways, by what stands before it.
    ...[0, 1, 2].map((before) =>
      Buffer.concat([Buffer.alloc(before), bytes])
        .toString('base64')
        .slice(before + 1),
    ),
  ].flatMap((spelling) => [spelling, spelling.replaceAll('+', '-').replaceAll('/', '_')])
  const folded = text.toLowerCase()
  return spellings.some((spelling) => {
    const lower = spelling.toLowerCase()
    if (lower.length < PIECE) return lower !== '' && folded.includes(lower)
    for (let start = 0; start + PIECE <= lower.length; start += 1) {
      if (folded.includes(lower.slice(start, start + PIECE))) return true
    }
    return false
  })
}
