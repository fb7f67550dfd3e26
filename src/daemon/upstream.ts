import { createAgentsOf } from '../upstream/agents-of.ts'
import { createLoginBreaker } from '../upstream/login-breaker.ts'
import { createRateLimits } from '../upstream/rate-limits.ts'
import { createTokens } from '../upstream/tokens.ts'
import { createVerify } from '../upstream/verify.ts'
import type { Base } from './part.ts'

/** All that speaks to registries and remembers what they said. */
export function startUpstream({ config, version, metrics, stack, nowMs }: Base) {
  const agentsOf = createAgentsOf(config.registries)
  stack.defer(() => agentsOf.close())
  const parts = { agentsOf: agentsOf.of, nowMs, wallNowMs: Date.now, userAgent: `regcredd/${version}` }
  const tokens = createTokens({ ...parts, exchanged: metrics.tokenExchanged })
  const breaker = createLoginBreaker(parts)
  const rateLimits = createRateLimits(parts)
  return {
    agentsOf: agentsOf.of,
    tokens,
    breaker,
    rateLimits,
    verify: createVerify(config.registries, parts),
    /** Forgets what was learnt with an earlier credential. */
    forget(registry: string): void {
      for (const memory of [tokens, breaker, rateLimits]) memory.forgetRegistry(registry)
    },
  }
}

export type Upstream = ReturnType<typeof startUpstream>
