import type { Audit } from './audit/writer.ts'
import type { Config } from './config/config.ts'
import type { Fleet } from './fleet/fleet.ts'
import { failOver } from './install/client-plan.ts'
import type { KnownKeychain } from './keychain/known.ts'
import { addressText } from './listen-failure.ts'
import type { MirrorRoom } from './mirror/mirror.ts'
import type { TlsFiles } from './proxy/tls-files.ts'
import { tlsReasons } from './proxy/tls-reasons.ts'
import { type Attention, attentionOf, describeAttention } from './rotation/attention.ts'
import type { Egress, EgressProxy } from './upstream/egress.ts'
import type { HeldLogin } from './upstream/login-breaker.ts'
import type { MetLimit } from './upstream/rate-limits.ts'

export type StatusParts = {
  config: Config
  version: string
  node: string
  startedAt: Date
  audit: Audit
  keychain: KnownKeychain
  mirror: MirrorRoom
  /** Undefined for a node that is alone. */
  fleet: Fleet | undefined
  /** Versions of credentials that their registry refuses. */
  heldLogins: () => HeldLogin[]
  /** Registries that asked to be left alone for a while. */
  metLimits: () => MetLimit[]
  /** The files of the pull listener, where it speaks TLS. */
  tls: TlsFiles | undefined
  /** What is to be said of the certificates of the admin API's listener, and of those that registries are shown. */
  certificateWarnings: (wallNowMs: number) => string[]
  wayOut: { egress: Egress; from: string; proxies: readonly EgressProxy[] }
  /** Whether the stop has begun. */
  stopping: () => boolean
}

export type Readiness = { ready: boolean; reasons: string[] }

/** Whether pulls can be served in full, and every reason why not, or why only in part: one line each, in plain words. */
export function readinessOf(parts: StatusParts): Readiness {
  const { config, audit, keychain, mirror, stopping } = parts
  const faults: string[] = []
  const warnings: string[] = []
  if (stopping()) faults.push('the daemon is stopping')
  const { state, since, code, detail } = keychain.seen()
  if (state !== 'ready') {
    faults.push(
      `the keychain is ${state} since ${since}${said(code, detail)}; ${keychain.knownCount()} credentials that were read before serve on`,
    )
  } else if (code !== undefined)
    warnings.push(`warning: the keychain holds an item that cannot be read${said(code, detail)}`)
  const written = audit.check()
  if (!written.writable) {
    const line = `the audit cannot be written since ${written.since} (${written.code}); ${written.missing} records are missing`
    if (config.audit.whenFull === 'closed') faults.push(`${line}; pulls are refused`)
    else warnings.push(`warning: ${line}; pulls are served`)
  }
  if (config.kubernetes !== undefined && mirror.stale()) {
    const failed = mirror.results().filter(({ outcome }) => outcome === 'failed').length
    warnings.push(
      `warning: ${failed === 0 ? 'not all' : failed} mirrored Secrets ${failed === 0 ? 'are known to be up to date' : 'could not be written'}; see regcredd mirror`,
    )
  }
  warnings.push(...(parts.fleet?.warnings() ?? []))
  const tls = parts.tls && tlsReasons(parts.tls, Date.now())
  faults.push(...(tls?.faults ?? []))
  warnings.push(...(tls?.warnings ?? []), ...parts.certificateWarnings(Date.now()))
  warnings.push(...attention(parts).map((one) => `warning: ${describeAttention(one)}`))
  return { ready: faults.length === 0, reasons: [...faults, ...warnings, ...registryWarnings(parts)] }
}

/** Of what is known of the credentials: the store is not asked. */
export function attention({ config, keychain }: Pick<StatusParts, 'config' | 'keychain'>): Attention[] {
  return config.registries.flatMap(({ name, rotation }) => {
    const credential = keychain.known(name)
    return credential === undefined ? [] : attentionOf(credential, rotation, new Date())
  })
}

function registryWarnings({ heldLogins, metLimits }: StatusParts): string[] {
  const time = (at: Date) => at.toISOString().replace(/\.\d+/, '')
  return [
    ...heldLogins().map(
      ({ registry, version, sinceAt, retryAt }) =>
        `warning: ${registry} refuses version ${version} of its credential since ${time(sinceAt)}; it is not tried again before ${time(retryAt)}, unless it is replaced`,
    ),
    ...metLimits().map(
      ({ registry, part, retryAt }) =>
        `warning: ${registry} is not asked for ${part} before ${time(retryAt)}: it answered 429`,
    ),
  ]
}

function said(code: string | undefined, detail: string | undefined): string {
  if (code === undefined) return ''
  return detail === undefined ? ` (${code})` : ` (${code}: ${detail})`
}

/** Which proxies there are, and which registries are reached by one; `null`: none. */
function egressOf({ config, wayOut }: StatusParts): object | null {
  const { egress, from, proxies } = wayOut
  if (proxies.length === 0) return null
  const byProxy = config.registries.filter(({ upstream }) => egress.proxyFor(upstream) !== undefined)
  return {
    proxies: [...new Set(proxies.map(({ url }) => url.origin))],
    from,
    login: proxies.some(({ login }) => login !== undefined),
    registries: byProxy.map(({ name }) => name),
  }
}

/** What `GET /v1/status` answers. */
export function statusOf(parts: StatusParts): object {
  const { config, version, node, startedAt, audit, keychain, mirror } = parts
  const { listen, callers } = config.proxy
  const secrets = mirror.results().map(({ outcome }) => outcome)
  return {
    ...readinessOf(parts),
    version,
    node,
    startedAt: startedAt.toISOString(),
    registries: config.registries.length,
    proxy: { listen: addressText(listen), callers, tls: parts.tls !== undefined },
    egress: egressOf(parts),
    failOver: config.registries.map(({ name, upstream, fallback, callers: own }) => ({
      registry: name,
      callers: own ?? callers,
      fallback,
      says: failOver(name, fallback === 'never' ? undefined : upstream.origin).says,
    })),
    admin: {
      socket: config.admin.socket,
      tls: config.admin.tls === undefined ? null : addressText(config.admin.tls.listen),
    },
    keychain: { store: keychain.store, ...keychain.seen() },
    audit: { folder: config.audit.folder, whenFull: config.audit.whenFull, ...audit.check() },
    heldLogins: parts.heldLogins(),
    metLimits: parts.metLimits(),
    attention: attention(parts),
    mirror:
      config.kubernetes === undefined
        ? null
        : {
            stale: mirror.stale(),
            secrets: secrets.length,
            failed: secrets.filter((outcome) => outcome === 'failed').length,
          },
  }
}
