import { RegcreddError } from '../errors.ts'
import type { Login } from './authorization.ts'
import type { LoginBreaker } from './login-breaker.ts'
import type { RateLimits } from './rate-limits.ts'
import type { KeptToken, Tokens } from './tokens.ts'

const MAX_AT_ONCE = 4
const LONGEST_AHEAD_MS = 30_000
/** A day's token whose repository nobody pulls from any more is let go all the same. */
const LONGEST_USE_MS = 900_000
/** A daemon at rest wakes no more often; the shortest token is renewed twelve seconds ahead. */
const LOOK_AT_MOST_EVERY_MS = 1_000

export type WarmthParts = {
  tokens: Pick<Tokens, 'kept' | 'renew'>
  breaker: LoginBreaker
  rateLimits: RateLimits
  /** What to ask for a token with now; undefined where the credential has no such version any more. @throws the keychain's errors */
  loginOf(registry: string, version: string): Promise<Login | undefined>
  /** Told of what no registry and no keychain can cause. */
  onFault(thrown: unknown): void
  nowMs(): number
  /** Runs something once, later; does not keep the process alive. */
  after(delayMs: number, run: () => void): Disposable
}

export type Warmth = {
  /** Looks at the tokens at hand and at when to do so again; to be called when there is a new one that it has not got itself. */
  look(): void
  /** Ends what is under way. */
  close(): void
}

/**
 * Renews tokens shortly before they end, while their repositories are being pulled from: a pull that comes then need not wait for the
 * token server. One try for each token; where it fails, or may not be made (held-back login, 429), the next pull asks by itself.
 */
export function keepWarm(parts: WarmthParts): Warmth {
  const { tokens, breaker, rateLimits, nowMs } = parts
  const closing = new AbortController()
  const tried = new WeakSet<KeptToken>()
  let underWay = 0
  let next: { atMs: number; timer: Disposable } | undefined

  function look(): void {
    if (closing.signal.aborted) return
    const atMs = nowMs()
    const inUse = tokens.kept().filter((token) => !tried.has(token) && isInUse(token, atMs))
    const due = inUse.filter((token) => renewalAtMs(token) <= atMs).sort((a, b) => b.usedAtMs - a.usedAtMs)
    const now = due.slice(0, MAX_AT_ONCE - underWay)
    for (const token of now) {
      tried.add(token)
      underWay += 1
      void renew(token)
        .catch(parts.onFault)
        .finally(() => {
          underWay -= 1
          look()
        })
    }
    // Those that are due and must wait are looked at when one of the others has ended.
    lookAt(Math.min(...inUse.map(renewalAtMs).filter((renewal) => renewal > atMs)))
  }

  function lookAt(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY || (next !== undefined && next.atMs <= atMs)) return
    next?.timer[Symbol.dispose]()
    const timer = parts.after(Math.max(atMs - nowMs(), LOOK_AT_MOST_EVERY_MS), () => {
      next = undefined
      look()
    })
    next = { atMs, timer }
  }

  async function renew(token: KeptToken): Promise<void> {
    const { version } = token
    const { name } = token.ask.registry
    if (rateLimits.waitSeconds(name, 'tokens') !== undefined) return
    try {
      if (version === undefined) await tokens.renew(token, undefined, closing.signal)
      else await renewAs(version, token)
    } catch (thrown) {
      if (!(thrown instanceof RegcreddError)) throw thrown
      // The metric counts it; the pull that needs a token will meet what there is to say, and say it.
      if (thrown.retryAfterS !== undefined) rateLimits.met(name, 'tokens', thrown.retryAfterS * 1000)
    }
  }

  async function renewAs(version: string, token: KeptToken): Promise<void> {
    const { registry, repository } = token.ask
    const login = await parts.loginOf(registry.name, version)
    if (login === undefined) return
    using trial = await breaker.claim(registry.name, version, repository, closing.signal)
    if (trial === undefined) return
    try {
      await tokens.renew(token, login, closing.signal)
      trial.accepted()
    } catch (thrown) {
      const code = thrown instanceof RegcreddError ? thrown.code : undefined
      if (code === 'CREDENTIAL_REJECTED') trial.rejected()
      if (code === 'REPOSITORY_REFUSED') trial.denied()
      throw thrown
    }
  }

  return {
    look,
    close() {
      next?.timer[Symbol.dispose]()
      closing.abort(new RegcreddError('UPSTREAM_UNREACHABLE', 'the daemon stops'))
    },
  }
}

function renewalAtMs({ expiresAtMs, lifetimeMs }: KeptToken): number {
  return expiresAtMs - Math.min(lifetimeMs / 4, LONGEST_AHEAD_MS)
}

/** Whether a pull needed it within the time that such a token lasts. */
function isInUse({ usedAtMs, lifetimeMs }: KeptToken, nowMs: number): boolean {
  return nowMs - usedAtMs <= Math.min(lifetimeMs, LONGEST_USE_MS)
}
