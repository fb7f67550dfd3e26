import { hostname } from 'node:os'
import packageJson from '../../package.json' with { type: 'json' }
import { keyPairWarnings } from '../admin/tls-files.ts'
import { loadConfig } from '../config/load.ts'
import { keepMemoryOutOfCores, mayDumpCore } from '../core-dump.ts'
import { addressText } from '../listen-failure.ts'
import { createLogger } from '../log.ts'
import { createMetrics } from '../metrics.ts'
import { endOnUncaught, refuseDebugging } from '../process-guards.ts'
import type { StatusParts } from '../status.ts'
import { createNotifier } from '../systemd/notify.ts'
import { followAdminTls, startAdmin } from './admin.ts'
import { attemptAsync } from './attempt.ts'
import { startAudit } from './audit.ts'
import { findEgress } from './egress.ts'
import { buildFleet } from './fleet.ts'
import { startHealthListener } from './health.ts'
import { startKeychain } from './keychain.ts'
import type { Base } from './part.ts'
import { startPulls } from './pulls.ts'
import { buildMirror, buildRotations } from './rotations.ts'
import { startTokenRenewal } from './token-renewal.ts'
import { startUpstream } from './upstream.ts'

/**
 * Runs the daemon until `signal` aborts: builds the parts in order, and closes them in reverse, pulls under way first.
 * @throws CONFIG_INVALID, LISTEN_FAILED, AUDIT_UNAVAILABLE and the keychain's errors at the start
 */
export async function serve({ configPath, signal }: { configPath: string; signal: AbortSignal }): Promise<void> {
  const notifier = createNotifier(process.env)
  refuseDebugging(process.env)
  keepMemoryOutOfCores()
  const config = await loadConfig(configPath)
  const log = createLogger({ level: config.log.level })
  if (mayDumpCore())
    log.warn({}, 'a crash may leave a core file: start the daemon under `ulimit -c 0`, as its unit does')
  const { version } = packageJson
  const metrics = createMetrics({ version, registries: config.registries.map(({ name }) => name) })
  await using stack = new AsyncDisposableStack()
  stack.use(endOnUncaught(log))
  const base: Base = { config, version, log, metrics, stack, nowMs: () => performance.now() }

  const audit = await startAudit(base)
  const keychain = await startKeychain(base)
  const wayOut = await findEgress(base)
  const upstream = await startUpstream(base, { keychain, egress: wayOut.egress })
  const fleet = buildFleet(base, keychain)
  fleet?.onAdopted((key) => upstream.forget(key))
  const mirror = buildMirror(base, { audit, keychain, fleet })
  const rotations = buildRotations(base, { audit, keychain, upstream, mirror, fleet })
  fleet?.onAdopted(rotations.adopted)
  const proxy = await startPulls(base, { audit, keychain, upstream })
  const pairs = await followAdminTls(base)

  const { callers, drainTimeoutMs } = config.proxy
  const listen = { ...config.proxy.listen, port: proxy.port }
  const status: StatusParts = {
    config: { ...config, proxy: { ...config.proxy, listen } },
    version,
    node: hostname(),
    startedAt: new Date(),
    audit,
    keychain,
    mirror,
    fleet,
    heldLogins: upstream.breaker.held,
    metLimits: upstream.rateLimits.current,
    tls: proxy.tls,
    certificateWarnings: (wallNowMs) => [
      ...(pairs === undefined ? [] : keyPairWarnings(pairs, wallNowMs)),
      ...upstream.certificates.warnings(wallNowMs),
    ],
    wayOut,
    stopping: () => signal.aborted,
  }
  const health = await startHealthListener(base, { status, connections: proxy.connections })
  await startAdmin(base, { status, rotations, pairs })

  // Not waited for: a locked keychain must not keep pulls of what is known from being served.
  void rotations.resume()
  mirror.start()
  fleet?.start()
  startTokenRenewal(base)
  await notifier.ready(`serving pulls on ${addressText(listen)}`)
  notifier.startWatchdog((thrown) => log.warn({ err: thrown }, 'watchdog'))
  log.info({ version, proxy: addressText(listen), health: health.port, callers }, 'ready')

  await new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())))
  log.info({ drainTimeoutMs }, 'stopping')
  await attemptAsync(log, 'the service manager could not be told', () => notifier.stopping(drainTimeoutMs))
  // Before all else, so that /readyz and the admin API tell meanwhile what is waited for.
  await proxy.close(drainTimeoutMs)
}
