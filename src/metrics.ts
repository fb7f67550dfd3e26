import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { createFleetMetrics, type FleetMetrics } from './metrics-fleet.ts'
import { createMirrorMetrics, type MirrorMetrics } from './metrics-mirror.ts'
import { createRotationMetrics, type RotationMetrics } from './metrics-rotation.ts'

const KINDS = new Set(['ping', 'manifest', 'blob', 'tags', 'referrers'])
const OTHER = 'other'
/** Far more than the catalogue of errors has; a guard against values that somebody outside could choose. */
const MAX_VALUES = 100
const PULL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const EXCHANGE_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

type OfRooms = FleetMetrics & MirrorMetrics & RotationMetrics

export type Metrics = OfRooms & {
  /** A settled request at the proxy; `registry` and `kind` are absent where it was refused before they were known. */
  pullEnded: (pull: {
    registry: string | undefined
    kind: string | undefined
    method: string
    status: number
    code: string | undefined
    bytes: number
    durationMs: number
  }) => void
  tokenExchanged: (exchange: { registry: string; outcome: 'ok' | 'failed'; durationMs: number }) => void
  keychainState: (state: { store: string; isReady: boolean }) => void
  /** `state` is that of the rotation's end: `COMMITTED`, `ABORTED` or `STUCK`. */
  rotationEnded: (rotation: { registry: string; state: string }) => void
  /** Audit records cannot be written; `lost` of them by this failure. */
  auditFailed: (failure: { lost: number }) => void
  auditRecovered: () => void
  connectionsOpen: (count: number) => void
  /** What a registry said of its own limit (RateLimit-Limit and -Remaining). */
  rateLimitSeen: (seen: { registry: string; limit: number; remaining: number }) => void
  /** All logins and registries that are held back at the moment. */
  heldBack: (held: { logins: { registry: string }[]; limits: { registry: string; part: string }[] }) => void
  /** The answer to a scrape. */
  text: () => Promise<string>
  readonly contentType: string
}

/**
 * The daemon's metrics, in a registry of their own. Labels have a bounded number of values: the listed registries, known kinds,
 * methods that the proxy serves, numeric statuses; anything else counts as `other`. A repository is never a label.
 */
export function createMetrics({ version, registries }: { version: string; registries: string[] }): Metrics {
  const register = new Registry()
  const registers = [register]
  const listed = new Set(registries)
  const registryLabel = (name: string | undefined) => (name !== undefined && listed.has(name) ? name : OTHER)
  const boundedCode = bounded(MAX_VALUES)
  const boundedState = bounded(MAX_VALUES)

  const requests = new Counter({
    name: 'regcredd_pull_requests_total',
    help: 'Requests at the pull proxy, by what they asked for and how they ended; status 0: the connection ended before an answer.',
    labelNames: ['registry', 'kind', 'method', 'status', 'code'],
    registers,
  })
  const bytes = new Counter({
    name: 'regcredd_pull_bytes_total',
    help: 'Bytes of bodies that were sent to callers.',
    labelNames: ['registry', 'kind'],
    registers,
  })
  const duration = new Histogram({
    name: 'regcredd_pull_duration_seconds',
    help: 'Time from the first byte of a request at the pull proxy to its end.',
    labelNames: ['registry', 'kind'],
    buckets: PULL_SECONDS,
    registers,
  })
  const exchanges = new Histogram({
    name: 'regcredd_token_exchange_duration_seconds',
    help: 'Time that token servers took to answer, by how it ended.',
    labelNames: ['registry', 'outcome'],
    buckets: EXCHANGE_SECONDS,
    registers,
  })
  const keychainUp = new Gauge({
    name: 'regcredd_keychain_up',
    help: '1 while the keychain can be read, 0 while it is locked or unavailable.',
    labelNames: ['store'],
    registers,
  })
  const rotations = new Counter({
    name: 'regcredd_rotations_total',
    help: 'Rotations that have ended, by their end state.',
    labelNames: ['registry', 'state'],
    registers,
  })
  const auditUp = new Gauge({
    name: 'regcredd_audit_up',
    help: '1 while audit records can be written.',
    registers,
  })
  const auditMissing = new Counter({
    name: 'regcredd_audit_missing_records_total',
    help: 'Audit records that could not be written.',
    registers,
  })
  const connections = new Gauge({
    name: 'regcredd_proxy_connections',
    help: 'Connections of callers that are open at the pull proxy.',
    registers,
  })
  const rateLimit = new Gauge({
    name: 'regcredd_registry_ratelimit_limit',
    help: 'RateLimit-Limit of the last answer of a registry that told it.',
    labelNames: ['registry'],
    registers,
  })
  const rateLimitLeft = new Gauge({
    name: 'regcredd_registry_ratelimit_remaining',
    help: 'RateLimit-Remaining of the last answer of a registry that told it.',
    labelNames: ['registry'],
    registers,
  })
  const heldLogins = new Gauge({
    name: 'regcredd_credential_versions_held',
    help: 'Versions of a credential that the registry refuses and that are not tried for a while.',
    labelNames: ['registry'],
    registers,
  })
  const heldRegistries = new Gauge({
    name: 'regcredd_registry_limited',
    help: '1 while a part of a registry is not asked because it answered 429.',
    labelNames: ['registry', 'part'],
    registers,
  })
  new Gauge({
    name: 'regcredd_build_info',
    help: 'Always 1; its labels tell the version.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version, node: process.versions.node }, 1)
  auditUp.set(1)
  // Without it prom-client looks at the event loop a hundred times a second, on an idle node too.
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 2 ** 31 - 1 })
  for (const part of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'])
    register.removeSingleMetric(`nodejs_eventloop_lag_${part}_seconds`)

  return {
    pullEnded: (pull) => {
      const registry = registryLabel(pull.registry)
      const kind = pull.kind !== undefined && KINDS.has(pull.kind) ? pull.kind : OTHER
      const method = pull.method === 'GET' || pull.method === 'HEAD' ? pull.method : OTHER
      const code = pull.code === undefined ? '' : boundedCode(pull.code)
      requests.inc({ registry, kind, method, status: statusLabel(pull.status), code })
      bytes.inc({ registry, kind }, Math.max(0, pull.bytes))
      duration.observe({ registry, kind }, pull.durationMs / 1000)
    },
    tokenExchanged: ({ registry, outcome, durationMs }) =>
      exchanges.observe({ registry: registryLabel(registry), outcome }, durationMs / 1000),
    keychainState: ({ store, isReady }) => keychainUp.set({ store }, isReady ? 1 : 0),
    rotationEnded: ({ registry, state }) =>
      rotations.inc({ registry: registryLabel(registry), state: boundedState(state) }),
    ...createFleetMetrics(register, registryLabel),
    ...createMirrorMetrics(register),
    ...createRotationMetrics(register, registryLabel),
    auditFailed: ({ lost }) => {
      auditUp.set(0)
      auditMissing.inc(lost)
    },
    auditRecovered: () => auditUp.set(1),
    connectionsOpen: (count) => connections.set(count),
    rateLimitSeen: ({ registry, limit, remaining }) => {
      rateLimit.set({ registry: registryLabel(registry) }, limit)
      rateLimitLeft.set({ registry: registryLabel(registry) }, remaining)
    },
    heldBack: ({ logins, limits }) => {
      heldLogins.reset()
      for (const { registry } of logins) heldLogins.inc({ registry: registryLabel(registry) })
      heldRegistries.reset()
      for (const { registry, part } of limits) heldRegistries.set({ registry: registryLabel(registry), part }, 1)
    },
    text: () => register.metrics(),
    contentType: register.contentType,
  }
}

function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= 0 && status <= 599 ? String(status) : OTHER
}

/** Lets the first `limit` different values through, and no other. */
function bounded(limit: number): (value: string) => string {
  const known = new Set<string>()
  return (value) => {
    if (known.has(value)) return value
    if (known.size >= limit) return OTHER
    known.add(value)
    return value
  }
}
