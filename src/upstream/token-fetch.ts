import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { BearerChallenge } from '../registry/challenge.ts'
import type { Agents } from './agents.ts'
import { type Answer, ask, type Question } from './ask.ts'
import { basicHeader, isIdentityToken, type Login, refreshTokenForm } from './authorization.ts'
import { retryAfterMs } from './rate-limits.ts'
import { allowedRealm } from './realm.ts'
import { parseTokenAnswer, type Token } from './token-answer.ts'

const MAX_ANSWER_BYTES = 128 * 1024

/** What this room needs from outside. `nowMs` is monotonic, `wallNowMs` counts from 1970. */
export type UpstreamParts = {
  /** Told of each token request that has ended. */
  exchanged?: (exchange: { registry: string; outcome: 'ok' | 'failed'; durationMs: number }) => void
  agentsOf(registry: Registry): Agents
  nowMs(): number
  wallNowMs(): number
  /** Some token servers refuse requests without one. */
  userAgent: string
}

export type TokenAsk = {
  registry: Registry
  challenge: BearerChallenge
  /** The request that was answered by the challenge. */
  requestUrl: URL
  scope: string | undefined
  login: Login | undefined
}

/**
 * Fetches one token (distribution, "Token Authentication Specification"):
 * 1. the realm is checked, before anything is sent;
 * 2. GET with Basic, or for an identity token POST with a form (it is no password and never goes into Basic);
 * 3. no redirect is followed, and the answer is read up to 128 KiB.
 * @throws REALM_REFUSED, ADDRESS_REFUSED, CREDENTIAL_REJECTED (401), REPOSITORY_REFUSED (403, which may mean the login too),
 *   ANONYMOUS_REFUSED, TOO_MANY_REQUESTS, TOKEN_SERVER_FAILED, TOKEN_MALFORMED, UPSTREAM_TIMEOUT
 */
export async function fetchToken(tokenAsk: TokenAsk, parts: UpstreamParts, signal: AbortSignal): Promise<Token> {
  const { registry, challenge, requestUrl, login } = tokenAsk
  const realm = allowedRealm(registry, challenge.realm, requestUrl)
  const askedAt = { monotonicMs: parts.nowMs(), wallMs: parts.wallNowMs() }
  const { connectTimeoutMs, answerTimeoutMs } = registry.limits
  const answer = await askServer(
    {
      ...questionFor(realm, tokenAsk, parts.userAgent),
      agent: parts.agentsOf(registry).towards(realm),
      timeoutMs: connectTimeoutMs + answerTimeoutMs,
      maxBodyBytes: MAX_ANSWER_BYTES,
    },
    signal,
  )
  if (answer.status !== 200) throw refusal(answer, login, parts.wallNowMs())
  return parseTokenAnswer(answer.body, askedAt)
}

function questionFor(
  realm: URL,
  { challenge, scope, login }: TokenAsk,
  userAgent: string,
): Pick<Question, 'method' | 'to' | 'headers' | 'body'> {
  const headers = { accept: 'application/json', 'user-agent': userAgent }
  const { service } = challenge
  if (login !== undefined && isIdentityToken(login.username)) {
    return {
      method: 'POST',
      to: realm,
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: refreshTokenForm(login.secret, { service, scope }),
    }
  }
  // The realm's own query stays; an empty service (GCR) and an empty scope are not sent.
  const to = new URL(realm)
  if (service) to.searchParams.set('service', service)
  to.searchParams.delete('scope')
  if (scope) to.searchParams.set('scope', scope)
  const authorization = login === undefined ? {} : { authorization: basicHeader(login.username, login.secret) }
  return { method: 'GET', to, headers: { ...headers, ...authorization } }
}

async function askServer(question: Question, signal: AbortSignal): Promise<Answer> {
  try {
    return await ask(question, signal)
  } catch (thrown) {
    // UPSTREAM_… would say "the registry"; here it is its token server that the reader has to look at.
    if (!(thrown instanceof RegcreddError)) throw thrown
    if (thrown.code === 'UPSTREAM_TIMEOUT') throw new RegcreddError(thrown.code, 'its token server', { cause: thrown })
    if (!thrown.code.startsWith('UPSTREAM_')) throw thrown
    throw new RegcreddError('TOKEN_SERVER_FAILED', thrown.detail, { cause: thrown })
  }
}

function refusal({ status, headers }: Answer, login: Login | undefined, wallNowMs: number): RegcreddError {
  const detail = `the token server answered ${status}`
  if (status === 429) {
    const retryAfterS = Math.ceil(retryAfterMs(headers['retry-after'], wallNowMs) / 1000)
    return new RegcreddError('TOO_MANY_REQUESTS', detail, { retryAfterS })
  }
  // RFC 6749 § 5.2: a refresh token that is not good is a 400.
  const isRejected = status === 401 || (status === 400 && isIdentityToken(login?.username ?? ''))
  if (!isRejected && status !== 403) return new RegcreddError('TOKEN_SERVER_FAILED', detail)
  if (login === undefined) return new RegcreddError('ANONYMOUS_REFUSED', detail)
  // GitLab says 403 for a project that a good login may not read, GHCR for a bad login too.
  return new RegcreddError(isRejected ? 'CREDENTIAL_REJECTED' : 'REPOSITORY_REFUSED', detail)
}
