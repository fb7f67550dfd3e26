import type { Audit } from '../audit/writer.ts'
import { followCallerTokens } from '../caller-token-file.ts'
import type { KnownKeychain } from '../keychain/known.ts'
import { createBlobSizes } from '../proxy/blob-sizes.ts'
import { type PullProxy, startProxy } from '../proxy/listener.ts'
import { createPreference } from '../proxy/preference.ts'
import { createSender } from '../proxy/sender.ts'
import { followTlsFiles, type TlsFiles } from '../proxy/tls-files.ts'
import { createPullReport } from '../pull-report.ts'
import { createRefusals } from '../refusals.ts'
import type { Base } from './part.ts'
import type { Upstream } from './upstream.ts'

/** Opens the listener that image pulls come to. @throws LISTEN_FAILED */
export async function startPulls(
  { config, log, metrics, stack, nowMs }: Base,
  { audit, keychain, upstream }: { audit: Audit; keychain: KnownKeychain; upstream: Upstream },
): Promise<PullProxy & { tls: TlsFiles | undefined }> {
  const { tokens, breaker, rateLimits } = upstream
  const sender = createSender(upstream.agentsOf)
  stack.defer(() => sender.close())
  const refusals = createRefusals((detail) => audit.event({ type: 'pull.refused', detail }), nowMs)
  stack.defer(() => refusals.close())
  const report = createPullReport({ record: (event) => audit.pullWithOthers(event), refusals, log, metrics, nowMs })
  const { listen, headersTimeoutMs, maxConnections, callers, callerTokenFile, drainTimeoutMs } = config.proxy
  const isTokenUsed = callers === 'token' || config.registries.some((registry) => registry.callers === 'token')
  const callerTokens = isTokenUsed ? await followCallerTokens(callerTokenFile, log) : undefined
  stack.defer(() => callerTokens?.close())
  const tls = config.proxy.tls && (await followTlsFiles(config.proxy.tls, listen, log))
  stack.defer(() => tls?.close())
  const proxy = await startProxy(
    listen,
    { headersTimeoutMs, maxConnections },
    {
      registries: config.registries,
      defaultRegistry: config.proxy.defaultRegistry,
      callers,
      tls,
      callerTokens: () => callerTokens?.now() ?? [],
      nowMs,
      sender,
      tokens,
      preference: createPreference(),
      breaker,
      rateLimits,
      wallNowMs: Date.now,
      asksBasic: new Set(),
      blobSizes: createBlobSizes(),
      lend: async (name) => (await keychain.lend(name))?.credential,
      ...report,
    },
  )
  stack.defer(() => proxy.close(drainTimeoutMs))
  return { ...proxy, tls }
}
