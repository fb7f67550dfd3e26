import type { Fleet } from '../fleet/fleet.ts'
import { isInStep } from '../fleet/report.ts'
import { startHealth } from '../health.ts'
import { versionOf } from '../keychain/credential.ts'
import { readinessOf, type StatusParts } from '../status.ts'
import type { Base } from './part.ts'

/** Opens the listener of /healthz, /readyz and /metrics. @throws LISTEN_FAILED */
export async function startHealthListener(
  { config, log, metrics, stack }: Base,
  { status, connections }: { status: StatusParts; connections: () => Promise<number> },
) {
  const { mirror, heldLogins, metLimits } = status
  const health = await startHealth({
    listen: config.health.listen,
    ready: () => readinessOf(status),
    metricsText: async () => {
      metrics.connectionsOpen(await connections())
      metrics.heldBack({ logins: heldLogins(), limits: metLimits() })
      metrics.credentials(
        config.registries.flatMap(({ name }) => {
          const known = status.keychain.known(name)
          if (known === undefined) return []
          const isStuck = known.rotations.some(({ state }) => state === 'STUCK')
          return [{ registry: name, expiresAt: versionOf(known, 'current')?.expiresAt, isStuck }]
        }),
      )
      if (status.fleet !== undefined) metrics.fleet(fleetSeen(status.fleet))
      metrics.mirrorResult({
        outcomes: mirror.results().map(({ outcome }) => outcome),
        isStale: mirror.stale(),
        watches: mirror.watches().map(({ subject, heardAtMs = status.startedAt.getTime() }) => ({
          kind: subject.kind,
          name: 'name' in subject ? subject.name : '',
          heardAtMs,
        })),
      })
      return metrics.text()
    },
    metricsContentType: metrics.contentType,
    onError: (thrown) => log.error({ err: thrown }, 'health'),
  })
  stack.defer(() => health.close())
  return health
}

function fleetSeen(fleet: Fleet): Parameters<Base['metrics']['fleet']>[0] {
  return {
    leads: fleet.mayWrite(),
    credentials: fleet.credentials().map(({ key, seq = 0, fleetSeq, standing }) => ({
      registry: key,
      seq,
      fleetSeq,
      isInStep: isInStep(standing),
    })),
  }
}
