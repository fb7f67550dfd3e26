import { createActReport } from '../act-report.ts'
import { createAdminApp } from '../admin/app.ts'
import { createTokenDoor, socketDoor } from '../admin/door.ts'
import { createFailureLimit } from '../admin/failure-limit.ts'
import { listenAdmin } from '../admin/listen-socket.ts'
import { listenTls, type TlsListener } from '../admin/listen-tls.ts'
import type { AdminParts } from '../admin/parts.ts'
import { createStreams } from '../admin/stream.ts'
import { followKeyPair } from '../admin/tls-files.ts'
import { openTokenStore, type TokenStore } from '../admin/token-store.ts'
import { readAudit } from '../audit/tail.ts'
import type { AdminTls } from '../config/config.ts'
import type { Followed } from '../followed-files.ts'
import type { KeyPair } from '../key-pair.ts'
import { addressText } from '../listen-failure.ts'
import { createRefusals } from '../refusals.ts'
import { canonicalName } from '../registry/host.ts'
import type { Rotations } from '../rotation/rotations.ts'
import { type StatusParts, statusOf } from '../status.ts'
import { buildKubernetesCallers } from './kubernetes-callers.ts'
import type { Base } from './part.ts'

const CHECK_TIMEOUT_MS = 60_000

type Parts = { status: StatusParts; rotations: Rotations; pairs: Followed<KeyPair> | undefined }

/** The certificate of the TLS listener, where one is configured. @throws LISTEN_FAILED */
export async function followAdminTls({ config, log, stack }: Base): Promise<Followed<KeyPair> | undefined> {
  if (config.admin.tls === undefined) return undefined
  const pairs = await followKeyPair(config.admin.tls, {
    onNews: (fault) => {
      if (fault === undefined) log.info({}, 'a new certificate of admin.tls serves')
      else log.error({ err: fault }, 'the certificate of admin.tls from before serves on')
    },
  })
  stack.defer(() => pairs.close())
  return pairs
}

/** Opens the admin API's socket, and its TLS listener where one is configured. @throws LISTEN_FAILED */
export async function startAdmin(base: Base, { status, rotations, pairs }: Parts): Promise<void> {
  const { config, log, stack } = base
  const tokens = await openTokenStore({
    path: config.admin.tokensFile,
    now: () => new Date(),
    onFault: (fault) => log.error({ err: fault }, 'the admin tokens'),
  })
  stack.defer(() => tokens.close())
  const parts = adminParts(base, { status, rotations, tokens })
  const socket = await listenAdmin(createAdminApp(parts, socketDoor), config.admin)
  const { tls: where } = config.admin
  const tls = where && pairs && (await startTls(base, parts, where, pairs, status))
  // Together: a client that waits for a rotation gets its answer when the rotations stop.
  stack.defer(async () => void (await Promise.all([socket.close(), tls?.close(), rotations.close()])))
}

async function startTls(
  base: Base,
  parts: AdminParts,
  { hosts, listen }: AdminTls,
  pairs: Followed<KeyPair>,
  { audit }: StatusParts,
): Promise<TlsListener> {
  const { log, stack, nowMs } = base
  const refusals = createRefusals((detail) => audit.event({ type: 'admin.refused', detail }), nowMs)
  stack.defer(() => refusals.close())
  const kubernetesCallers = buildKubernetesCallers(base)
  const more = kubernetesCallers === undefined ? {} : { kubernetesCallers }
  const failures = createFailureLimit(nowMs)
  const door = createTokenDoor({ hosts, tokens: parts.tokens, failures, refusals, nowMs, ...more })
  // Streams of its own: callers from elsewhere must not use up those of the socket.
  const listener = await listenTls(createAdminApp({ ...parts, ...more, streams: createStreams() }, door), {
    listen,
    pairs,
  })
  log.info({ adminTls: addressText({ ...listen, port: listener.port }) }, 'the admin API listens')
  return listener
}

function adminParts(
  { config, version, log, metrics }: Base,
  { status, rotations, tokens }: Omit<Parts, 'pairs'> & { tokens: TokenStore },
): AdminParts {
  const { audit, keychain, mirror } = status
  const listed = config.registries.map(({ name, upstream, credential }) => ({
    host: name,
    upstream: upstream.origin,
    mode: credential,
  }))
  return {
    registries: () => listed,
    canonicalKey: (host) => canonicalName(host).name,
    credential: (key) => keychain.get(key),
    credentialKeys: () => keychain.keys(),
    rotations,
    tokens,
    // A token is no credential of a registry: nothing is to be forgotten.
    onAct: createActReport({ record: (act) => audit.act(act), forget: () => {}, metrics }),
    streams: createStreams(),
    version,
    status: async () => statusOf(status),
    mirror: () => ({
      configured: config.kubernetes !== undefined,
      results: mirror.results().flatMap(({ registries, checkedAt, ...result }) =>
        // An orphan holds what no mirror names any more.
        (registries.length > 0 ? registries : ['-']).map((host) => ({ ...result, host, at: checkedAt })),
      ),
      stale: mirror.stale(),
      fault: mirror.watches().find(({ fault }) => fault !== undefined)?.fault?.detail,
      fleet: status.fleet?.writer(),
    }),
    nodes: async () => status.fleet?.report(AbortSignal.timeout(CHECK_TIMEOUT_MS)),
    kubernetesCheck: () => mirror.check(AbortSignal.timeout(CHECK_TIMEOUT_MS)),
    audit: (range) => readAudit(config.audit.folder, range),
    onAnswer: ({ error, ...line }) => {
      if (error === undefined) log.info(line, 'admin')
      // A stranger must not fill the log: the first few of a minute are told, and the audit counts the others.
      else if (error.code === 'TOO_MANY_FAILURES' || error.code === 'KUBERNETES_AUTH_UNAVAILABLE')
        log.debug({ ...line, code: error.code }, 'admin')
      else log.warn({ ...line, code: error.code, err: error }, 'admin')
    },
  }
}
