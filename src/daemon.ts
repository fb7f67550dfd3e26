import { hostname } from 'node:os'
import packageJson from '../package.json' with { type: 'json' }
import { createActReport } from './act-report.ts'
import { createAdminApp } from './admin/app.ts'
import { listenAdmin } from './admin/listen-socket.ts'
import { readAudit } from './audit/tail.ts'
import { openAudit } from './audit/writer.ts'
import { followCallerTokens } from './caller-token-file.ts'
import { loadConfig } from './config/load.ts'
import { keepMemoryOutOfCores, mayDumpCore } from './core-dump.ts'
import { toRegcreddError } from './errors.ts'
import { startHealth } from './health.ts'
import { keepFresh } from './keychain/keep-fresh.ts'
import { keepKnown } from './keychain/known.ts'
import { openKeychain } from './keychain/open.ts'
import { createLogger, type Logger } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createMirror } from './mirror/mirror.ts'
import { endOnUncaught, refuseDebugging } from './process-guards.ts'
import { startProxy } from './proxy/listener.ts'
import { createPreference } from './proxy/preference.ts'
import { createSender } from './proxy/sender.ts'
import { createPullReport } from './pull-report.ts'
import { canonicalName } from './registry/host.ts'
import { createRotations } from './rotation/machine.ts'
import { realTime } from './rotation/real-time.ts'
import { readinessOf, type StatusParts, statusOf } from './status.ts'
import { createNotifier } from './systemd/notify.ts'
import { createAgentsOf } from './upstream/agents-of.ts'
import { createLoginBreaker } from './upstream/login-breaker.ts'
import { createRateLimits } from './upstream/rate-limits.ts'
import { createTokens } from './upstream/tokens.ts'
import { createVerify } from './upstream/verify.ts'

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

  const audit = await openAudit({
    folder: config.audit.folder,
    node: hostname(),
    clock: () => new Date(),
    whenFull: config.audit.whenFull,
    onFault: ({ code, lost, missing }) => {
      metrics.auditFailed({ lost })
      log.error({ code, missing }, 'the audit cannot be written')
    },
    onRecovery: (gap) => {
      metrics.auditRecovered()
      log.warn(gap, 'the audit can be written again')
    },
  })
  stack.defer(() => audit.close())
  audit.event({ type: 'daemon.start', detail: { version } })
  stack.defer(() => audit.event({ type: 'daemon.stop', detail: { version } }))
  stack.use(onSignal('SIGHUP', () => attempt(log, 'the audit file could not be reopened', () => audit.reopen())))

  const keychain = keepKnown(await openKeychain(config.keychain, process.env), { clock: Date.now })
  stack.defer(() => keychain.close())
  const fresh = await keepFresh(keychain, {
    clock: Date.now,
    onNews: (seen) => {
      metrics.keychainState({ store: keychain.store, isReady: seen.state === 'ready' })
      log[seen.state === 'ready' && seen.code === undefined ? 'info' : 'error']({ ...seen }, 'keychain')
    },
  })
  stack.defer(() => fresh.close())

  const agentsOf = createAgentsOf(config.registries)
  stack.defer(() => agentsOf.close())
  const nowMs = () => performance.now()
  const upstreamParts = { agentsOf: agentsOf.of, nowMs, wallNowMs: Date.now, userAgent: `regcredd/${version}` }
  const tokens = createTokens({ ...upstreamParts, exchanged: metrics.tokenExchanged })
  const breaker = createLoginBreaker(upstreamParts)
  const rateLimits = createRateLimits(upstreamParts)

  const mirror = createMirror({
    config: config.kubernetes,
    readCredential: (key) => keychain.get(key),
    time: realTime,
    onChange: (status) => log[status.outcome === 'failed' ? 'warn' : 'info']({ ...status }, 'mirror'),
  })
  stack.defer(() => mirror.close())

  const isListed = (key: string) => config.registries.some(({ name }) => name === key)
  const rotations = createRotations({
    keychain,
    verify: createVerify(config.registries, upstreamParts),
    mirror: mirror.mirror,
    onAct: createActReport({
      record: (act) => audit.act(act),
      forget: (name) => {
        for (const memory of [tokens, breaker, rateLimits]) memory.forgetRegistry(name)
      },
      metrics,
    }),
    onFault: (thrown, about) => log.error({ ...about, err: thrown }, 'a rotation met a fault'),
    isListed,
    ...realTime,
  })

  const sender = createSender(agentsOf.of)
  stack.defer(() => sender.close())

  const report = createPullReport({ record: (event) => audit.pull(event), log, metrics, nowMs })
  const { listen, headersTimeoutMs, maxConnections, callers, callerTokenFile, drainTimeoutMs } = config.proxy
  const isTokenUsed = callers === 'token' || config.registries.some((registry) => registry.callers === 'token')
  const callerTokens = isTokenUsed ? await followCallerTokens(callerTokenFile, log) : undefined
  stack.defer(() => callerTokens?.close())
  const proxy = await startProxy(
    listen,
    { headersTimeoutMs, maxConnections },
    {
      registries: config.registries,
      defaultRegistry: config.proxy.defaultRegistry,
      callers,
      callerTokens: () => callerTokens?.now() ?? [],
      nowMs,
      sender,
      tokens,
      preference: createPreference(),
      breaker,
      rateLimits,
      wallNowMs: Date.now,
      asksBasic: new Set(),
      lend: async (name) => (await keychain.lend(name))?.credential,
      ...report,
    },
  )
  stack.defer(() => proxy.close(drainTimeoutMs))

  const status: StatusParts = {
    config: { ...config, proxy: { ...config.proxy, listen: { ...listen, port: proxy.port } } },
    version,
    node: hostname(),
    startedAt: new Date(),
    audit,
    keychain,
    mirror,
    heldLogins: breaker.held,
    metLimits: rateLimits.current,
    stopping: () => signal.aborted,
  }
  const health = await startHealth({
    listen: config.health.listen,
    ready: () => readinessOf(status),
    metricsText: async () => {
      metrics.connectionsOpen(await proxy.connections())
      metrics.heldBack({ logins: breaker.held(), limits: rateLimits.current() })
      const outcomes = mirror.results().map(({ outcome }) => outcome)
      metrics.mirrorResult({ outcomes, isStale: mirror.stale() })
      return metrics.text()
    },
    metricsContentType: metrics.contentType,
    onError: (thrown) => log.error({ err: thrown }, 'health'),
  })
  stack.defer(() => health.close())

  const listedRegistries = config.registries.map(({ name, upstream, credential }) => ({
    host: name,
    upstream: upstream.origin,
    mode: credential,
  }))
  const admin = await listenAdmin(
    createAdminApp({
      registries: () => listedRegistries,
      canonicalKey: (host) => canonicalName(host).name,
      credential: (key) => keychain.get(key),
      rotations,
      status: async () => statusOf(status),
      mirror: () => ({
        configured: config.kubernetes !== undefined,
        results: mirror
          .results()
          .flatMap(({ registries, checkedAt, ...result }) =>
            registries.map((host) => ({ ...result, host, at: checkedAt })),
          ),
        stale: mirror.stale(),
      }),
      audit: (range) => readAudit(config.audit.folder, range),
      onAnswer: ({ error, ...line }) => {
        if (error === undefined) log.info(line, 'admin')
        else log.warn({ ...line, code: error.code, err: error }, 'admin')
      },
    }),
    config.admin,
  )
  // Together: a client that waits for a rotation gets its answer when the rotations stop.
  stack.defer(async () => void (await Promise.all([admin.close(), rotations.close()])))

  // Not waited for: a locked keychain must not keep pulls of what is known from being served.
  void rotations.resume()
  mirror.start()
  await notifier.ready(`serving pulls on ${listen.host}:${proxy.port}`)
  notifier.startWatchdog((thrown) => log.warn({ err: thrown }, 'watchdog'))
  log.info({ version, proxy: `${listen.host}:${proxy.port}`, health: health.port, callers }, 'ready')

  await new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())))
  log.info({ drainTimeoutMs }, 'stopping')
  await attemptAsync(log, 'the service manager could not be told', () => notifier.stopping(drainTimeoutMs))
  // Before all else, so that /readyz and the admin API tell meanwhile what is waited for.
  await proxy.close(drainTimeoutMs)
}

function onSignal(name: NodeJS.Signals, act: () => void): Disposable {
  process.on(name, act)
  return { [Symbol.dispose]: () => void process.off(name, act) }
}

function attempt(log: Logger, failure: string, act: () => void): void {
  try {
    act()
  } catch (thrown) {
    log.error({ err: toRegcreddError(thrown) }, failure)
  }
}

async function attemptAsync(log: Logger, failure: string, act: () => Promise<void>): Promise<void> {
  await act().catch((thrown: unknown) => log.error({ err: toRegcreddError(thrown) }, failure))
}
