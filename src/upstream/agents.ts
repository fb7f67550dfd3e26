import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { sameOrigin } from '../registry/origin.ts'
import { type AddressCheck, addressCheck, addressRefused, guardedLookup } from './address.ts'

const MAX_IDLE_SOCKETS = 16
/** Shorter than the idle limits of usual load balancers (60 s), so that few requests meet a connection that is being closed. */
const IDLE_TIMEOUT_MS = 30_000

/** The connections of one registry: kept alive, limited in number, each bound to stand within `limits.connectTimeoutMs`. */
export type Agents = {
  /** For the registry's own origin; where that lies is the operator's choice. */
  registry: http.Agent
  /** For token servers and redirect targets: refuses addresses that are neither global nor listed, with ADDRESS_REFUSED. */
  elsewhere(to: URL): http.Agent
  /** What TLS to the registry's own origin is verified by; absent where that is plain http. */
  secure: { secureContext?: SecureContext; servername?: string; rejectUnauthorized: true } | undefined
  /** The one of the above agents that a URL is to be asked by. */
  towards(to: URL): http.Agent
  close(): void
}

/**
 * Makes the agents of one registry.
 * @throws CONFIG_INVALID for an entry of allowAddresses that is no range
 */
export function createAgents(registry: Registry): Agents {
  const { connectTimeoutMs, maxConnections } = registry.limits
  const secureContext = secureContextOf(registry)
  const isAllowed = addressCheck(registry.allowAddresses)
  const common: https.AgentOptions = {
    keepAlive: true,
    maxSockets: maxConnections,
    maxFreeSockets: Math.min(MAX_IDLE_SOCKETS, maxConnections),
    timeout: IDLE_TIMEOUT_MS,
  }
  // Spelt out, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment changes nothing.
  const secure: https.AgentOptions = { ...common, rejectUnauthorized: true, ...(secureContext && { secureContext }) }
  const named = registry.serverName === undefined ? {} : { servername: registry.serverName }
  const guarded = { lookup: guardedLookup(isAllowed) }

  const own =
    registry.upstream.protocol === 'https:' ? new https.Agent({ ...secure, ...named }) : new http.Agent(common)
  const elsewhereHttp = new http.Agent({ ...common, ...guarded })
  const elsewhereHttps = new https.Agent({ ...secure, ...guarded })
  governConnecting(own, connectTimeoutMs, () => true)
  governConnecting(elsewhereHttp, connectTimeoutMs, isAllowed)
  governConnecting(elsewhereHttps, connectTimeoutMs, isAllowed)

  const elsewhere = (to: URL) => (to.protocol === 'https:' ? elsewhereHttps : elsewhereHttp)
  return {
    registry: own,
    secure:
      registry.upstream.protocol === 'https:'
        ? { rejectUnauthorized: true, ...(secureContext && { secureContext }), ...named }
        : undefined,
    elsewhere,
    towards: (to) => (sameOrigin(to, registry.upstream) ? own : elsewhere(to)),
    close() {
      for (const agent of [own, elsewhereHttp, elsewhereHttps]) agent.destroy()
    },
  }
}

/** One for all connections: reading the system's hundred authorities anew costs milliseconds each time. */
function secureContextOf({ ca }: Registry): SecureContext | undefined {
  return ca === undefined ? undefined : createSecureContext({ ca: [...getCACertificates('default'), ca] })
}

/** Limits how long connecting takes, and checks addresses that stand in the URL itself: for those node calls no `lookup`. */
function governConnecting(agent: http.Agent, connectTimeoutMs: number, isAllowed: AddressCheck): void {
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (options, callback) => {
    // URL.hostname, which http-proxy hands on, has IPv6 in brackets; the DNS would be asked for them.
    const host = (options.host ?? '').replace(/^\[(.*)\]$/, '$1')
    if (isIP(host) !== 0 && !isAllowed(host)) {
      callback?.(addressRefused(host), null as never)
      return undefined
    }
    const socket = connect({ ...options, host }, callback)
    const timer = setTimeout(() => {
      socket?.destroy(new RegcreddError('UPSTREAM_TIMEOUT', 'the connection did not stand in time'))
    }, connectTimeoutMs)
    const stop = () => clearTimeout(timer)
    socket?.once(agent instanceof https.Agent ? 'secureConnect' : 'connect', stop).once('close', stop)
    return socket
  }
}
