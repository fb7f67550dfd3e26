import type { KnownKeychain } from '../keychain/known.ts'
import { loginOf } from '../proxy/lent.ts'
import { createAgentsOf } from '../upstream/agents-of.ts'
import { followClientCertificates } from '../upstream/client-certificate.ts'
import type { Egress } from '../upstream/egress.ts'
import { createLoginBreaker } from '../upstream/login-breaker.ts'
import { createRateLimits } from '../upstream/rate-limits.ts'
import { createTokens } from '../upstream/tokens.ts'
import { createVerify } from '../upstream/verify.ts'
import { keepWarm, type Warmth } from '../upstream/warmth.ts'
import type { Base } from './part.ts'

/** All that speaks to registries and remembers what they said. @throws CONFIG_INVALID for a client certificate that cannot be used */
export async function startUpstream(
  { config, version, log, metrics, stack, nowMs }: Base,
  { keychain, egress }: { keychain: KnownKeychain; egress: Egress },
) {
  const certificates = await followClientCertificates(config.registries, {
    onNews(registry, fault) {
      if (fault === undefined) log.info({ registry }, 'a new client certificate is shown')
      else log.error({ registry, err: fault }, 'the client certificate from before is shown')
    },
  })
  stack.defer(() => certificates.close())
  const agentsOf = createAgentsOf(config.registries, { egress, certificates })
  stack.defer(() => agentsOf.close())
  const parts = { agentsOf: agentsOf.of, nowMs, wallNowMs: Date.now, userAgent: `regcredd/${version}` }
  const tokens = createTokens({ ...parts, exchanged: metrics.tokenExchanged, onKept: () => warmth.look() })
  const breaker = createLoginBreaker(parts)
  const rateLimits = createRateLimits(parts)
  const warmth: Warmth = keepWarm({
    ...{ tokens, breaker, rateLimits, nowMs },
    loginOf: async (registry, id) => loginOf((await keychain.lend(registry))?.credential, id),
    onFault: (thrown) => log.error({ err: thrown }, 'a token could not be renewed'),
    after: (delayMs, run) => setTimeout(run, delayMs).unref(),
  })
  stack.defer(() => warmth.close())
  return {
    agentsOf: agentsOf.of,
    certificates,
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

export type Upstream = Awaited<ReturnType<typeof startUpstream>>
