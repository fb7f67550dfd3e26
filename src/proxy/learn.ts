import type { Registry } from '../config/config.ts'
import type { Credential } from '../keychain/credential.ts'
import { sameOrigin } from '../registry/origin.ts'
import type { Trial } from '../upstream/login-breaker.ts'
import { type LimitedPart, type RateLimits, rateLimitNumber, retryAfterMs } from '../upstream/rate-limits.ts'
import type { Send, Tried } from '../upstream/steps.ts'
import type { Exchange } from './exchange.ts'
import type { Preference } from './preference.ts'
import type { UpstreamAnswer } from './upstream-answer.ts'

/** What was sent, and what the answer to it is about. */
type Asked = {
  sent: Send
  asks: Tried['asks']
  part: LimitedPart
  trial: Trial | undefined
  credential: Credential | undefined
  registry: Registry
  exchange: Exchange
}

/** Where it is kept. */
export type Lessons = {
  /** Names of registries that asked for Basic when they were last asked. */
  asksBasic: Set<string>
  preference: Preference
  rateLimits: RateLimits
  /** Milliseconds since 1970. */
  wallNowMs(): number
}

/** Keeps what an answer teaches for later pulls: how the registry asks, which version it takes, how much more it will answer. */
export function learn(answer: UpstreamAnswer, asked: Asked, parts: Lessons): void {
  const { sent, part, registry, exchange } = asked
  // A store speaks for itself and not for the registry.
  if (!sameOrigin(sent.to, registry.upstream)) return
  const { headers, status } = answer
  const limit = rateLimitNumber(headers['ratelimit-limit'])
  const remaining = rateLimitNumber(headers['ratelimit-remaining'])
  if (limit !== undefined && remaining !== undefined) exchange.rateLimit = { limit, remaining }
  const retryAfter = String(headers['retry-after'] ?? '')
  if (status === 429) parts.rateLimits.met(registry.name, part, retryAfterMs(retryAfter, parts.wallNowMs()))
  learnLogin(status, asked, parts)
}

function learnLogin(status: number, { sent, asks, trial, credential, registry }: Asked, parts: Lessons): void {
  const { authorization } = sent
  if (asks === 'basic' && authorization.by !== 'bearer') parts.asksBasic.add(registry.name)
  if (asks === 'bearer') parts.asksBasic.delete(registry.name)
  if (authorization.by === 'nobody' || authorization.version === undefined || credential === undefined) return
  if (status === 401) {
    // Who asks for Bearer has not looked at the password.
    if (authorization.by !== 'basic' || asks === 'bearer') return
    trial?.rejected()
    parts.preference.refused(credential, authorization.version)
    return
  }
  // A 403 may be a repository's, or ECR's word for a password that has ended; 429 and 5xx say nothing about the login.
  if (status < 400 || status === 404) {
    trial?.accepted()
    parts.preference.won(credential, authorization.version)
  }
}
