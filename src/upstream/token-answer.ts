import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'

const DEFAULT_LIFETIME_S = 60
/** Longer than any registry's tokens live (ECR's: 12 h). */
const MAX_LIFETIME_S = 86_400
/** A token is given up before it ends, so that it does not end on its way. */
const MARGIN_MS = 10_000
/** RFC 9110 § 11.2; nothing else is sent back in a header. */
const TOKEN68 = /^[A-Za-z0-9._~+/-]+=*$/

export type Token = { token: Secret; expiresAtMs: number }

/** When the token was asked for: on the monotonic clock, which `expiresAtMs` is given in, and on the wall's, which `issued_at` speaks of. */
export type AskedAt = { monotonicMs: number; wallMs: number }

/**
 * Reads a token server's answer (distribution, "Token Authentication Specification"): `access_token` before `token`; lifetimes
 * are 60 s where they are missing or shorter, and a day at the most.
 * @throws TOKEN_MALFORMED, without a cause: what JSON.parse says repeats the answer
 */
export function parseTokenAnswer(text: string, askedAt: AskedAt): Token {
  const answer = parseObject(text)
  const token = [answer['access_token'], answer['token']].find(
    (value): value is string => typeof value === 'string' && value !== '',
  )
  if (token === undefined) throw new RegcreddError('TOKEN_MALFORMED', 'neither access_token nor token is there')
  if (!TOKEN68.test(token)) throw new RegcreddError('TOKEN_MALFORMED', 'the token holds characters that no token has')
  const lifetimeMs = lifetimeSeconds(answer['expires_in']) * 1000
  const leftMs = lifetimeMs - ageMs(answer['issued_at'], lifetimeMs, askedAt.wallMs)
  return { token: new Secret(token), expiresAtMs: askedAt.monotonicMs + leftMs - MARGIN_MS }
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new RegcreddError('TOKEN_MALFORMED', 'the answer is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RegcreddError('TOKEN_MALFORMED', 'the answer is no JSON object')
  }
  return { ...value }
}

function lifetimeSeconds(expiresIn: unknown): number {
  const isNumeric = typeof expiresIn === 'number' || (typeof expiresIn === 'string' && /^[0-9]{1,15}$/.test(expiresIn))
  return isNumeric ? Math.min(Math.max(Number(expiresIn), DEFAULT_LIFETIME_S), MAX_LIFETIME_S) : DEFAULT_LIFETIME_S
}

/**
 * How old the token was when it was asked for. A server that hands out stored tokens says so by `issued_at`; one whose clock is
 * wrong says nonsense (ahead of ours, or too old to be of use), and Go's zero time means nothing: those count as fresh.
 */
function ageMs(issuedAt: unknown, lifetimeMs: number, wallMs: number): number {
  const issuedMs = typeof issuedAt === 'string' ? Date.parse(issuedAt) : Number.NaN
  const age = wallMs - issuedMs
  return age > 0 && age < lifetimeMs - 2 * MARGIN_MS ? age : 0
}
