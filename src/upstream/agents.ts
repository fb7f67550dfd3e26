import http from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Followed } from '../followed-files.ts'
import { contextOptions, type KeyPair } from '../key-pair.ts'
import { sameOrigin, withoutBrackets } from '../registry/origin.ts'
import { type AddressCheck, addressCheck, addressRefused, guardedLookup, type Lookup } from './address.ts'
import type { ClientCertificates } from './client-certificate.ts'
import { type Egress, straight } from './egress.ts'
import { boundIdle } from './idle.ts'
import { insideOf } from './inner-agent.ts'
import { createNameCheck } from './name-check.ts'
import { authoritiesWith, trusting } from './trust.ts'
import { throughProxy } from './tunnel-agent.ts'

/** RFC 8305 § 5: how long one address is waited for before the next is tried beside it. */
const NEXT_ADDRESS_AFTER_MS = 250

const SHOWN = Symbol('version of the client certificate')

/** What TLS to the registry's own origin is done with. */
export type Secure = { secureContext?: SecureContext; servername?: string; rejectUnauthorized: true }

/** The connections of one registry: kept alive, limited in number, each bound to stand within `limits.connectTimeoutMs`. */
export type Agents = {
  /** For the registry's own origin; where that lies is the operator's choice. */
  registry: http.Agent
  /** For token servers and redirect targets: refuses addresses that are neither global nor listed, with ADDRESS_REFUSED. */
  elsewhere(to: URL): http.Agent
  /** Absent where the registry's own origin is plain http. To be asked for each connection: a client certificate may have been renewed. */
  secure: (() => Secure) | undefined
  /** Whether the registry's own origin is reached without an egress proxy. */
  isStraight: boolean
  /** The one of the above agents that a URL is to be asked by. */
  towards(to: URL): http.Agent
  /**
   * Checks where a client would be sent that is to follow a redirect by itself.
   * @throws ADDRESS_REFUSED, UPSTREAM_UNREACHABLE for a name that nobody here knows
   */
  checkTarget(to: URL): Promise<void>
  close(): void
}

/** How the outside is reached, and as whom; for tests, another DNS, clock and life of connections. `nowMs` is monotonic. */
export type Surroundings = {
  egress?: Egress
  /** Needed where a registry has one. */
  certificates?: Pick<ClientCertificates, 'of'>
  lookup?: Lookup
  longestLifeMs?: number
  nowMs?: () => number
}

/**
 * Makes the agents of one registry.
 * @throws CONFIG_INVALID for an entry of allowAddresses that is no range
 */
export function createAgents(registry: Registry, surroundings: Surroundings = {}): Agents {
  const { egress = straight, certificates, lookup, nowMs = () => performance.now() } = surroundings
  const { limits, upstream } = registry
  const isAllowed = addressCheck(registry.allowAddresses)
  const checkName = createNameCheck(isAllowed, lookup)
  const secureContext = registry.ca === undefined ? undefined : trusting(registry.ca)
  const secureOfRegistry = secureTo(registry, secureContext, certificates?.of(registry))
  const made: http.Agent[] = []

  /** `isOwn`: for the registry itself, wherever it lies, with its name and its client certificate. */
  function agentFor(to: URL, { isOwn }: { isOwn: boolean }): http.Agent {
    const guard = isOwn ? lookup && { lookup: lookup as LookupFunction } : { lookup: guardedLookup(isAllowed, lookup) }
    const common: https.AgentOptions = {
      keepAlive: true,
      maxSockets: limits.maxConnections,
      timeout: limits.idleTimeoutMs,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
      ...guard,
    }
    const agent =
      to.protocol === 'https:'
        ? // Spelt out, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment changes nothing.
          new https.Agent({ ...common, rejectUnauthorized: true, ...(secureContext && { secureContext }) })
        : new http.Agent(common)
    made.push(agent)
    boundIdle(agent, { maxIdle: limits.maxConnections, nowMs, ...surroundings })
    if (isOwn && secureOfRegistry !== undefined) showAs(agent, secureOfRegistry)
    const proxy = egress.proxyFor(to)
    if (proxy === undefined) governConnecting(agent, limits.connectTimeoutMs, isOwn ? () => true : isAllowed)
    else {
      const mayLead = async (host: string) => (isOwn ? undefined : checkName(host, 'passes'))
      throughProxy(agent, { proxy, limits, mayLead })
    }
    return agent
  }

  const own = agentFor(upstream, { isOwn: true })
  const others = new Map<string, http.Agent>()
  function elsewhere(to: URL): http.Agent {
    const kind = `${to.protocol} ${egress.proxyFor(to) === undefined ? 'straight' : 'by proxy'}`
    const agent = others.get(kind) ?? agentFor(to, { isOwn: false })
    others.set(kind, agent)
    return agent
  }
  return {
    registry: own,
    secure: secureOfRegistry && (() => secureOfRegistry().options),
    isStraight: egress.proxyFor(upstream) === undefined,
    elsewhere,
    towards: (to) => (sameOrigin(to, upstream) ? own : elsewhere(to)),
    checkTarget: (to) =>
      checkName(withoutBrackets(to.hostname), egress.proxyFor(to) === undefined ? 'fails' : 'passes'),
    close() {
      for (const agent of made) agent.destroy()
    },
  }
}

type SecureOfRegistry = () => { options: Secure; version: number }

function secureTo(
  { upstream, serverName, clientCertificate, ca }: Registry,
  secureContext: SecureContext | undefined,
  certificate: Followed<KeyPair> | undefined,
): SecureOfRegistry | undefined {
  if (upstream.protocol !== 'https:') return undefined
  if (clientCertificate !== undefined && certificate === undefined)
    throw new TypeError('a registry’s client certificate must be followed')
  const named = { rejectUnauthorized: true, ...(serverName !== undefined && { servername: serverName }) } as const
  const trusted = ca === undefined ? {} : { ca: authoritiesWith(ca) }
  const asWith = (pair: KeyPair): Secure => ({
    ...named,
    secureContext: createSecureContext({ ...contextOptions(pair), ...trusted }),
  })
  let secure = {
    version: 0,
    options:
      certificate === undefined ? { ...named, ...(secureContext && { secureContext }) } : asWith(certificate.now()),
  }
  certificate?.onChange((pair) => {
    secure = { version: secure.version + 1, options: asWith(pair) }
  })
  return () => secure
}

/** A connection or TLS session that was made with an earlier client certificate is not used with the next one. */
function showAs(agent: http.Agent, secure: SecureOfRegistry): void {
  const inner = insideOf(agent)
  const connect = inner.createConnection.bind(agent)
  inner.createConnection = (options, callback) => connect({ ...options, ...secure().options }, callback)
  const add = inner.addRequest.bind(agent)
  // It goes with the request's options: a connection must leave under the name that it came in by.
  inner.addRequest = (request, options) => add(request, { ...options, [SHOWN]: secure().version })
  const nameOf = inner.getName.bind(agent)
  inner.getName = (options) => `${nameOf(options)} ${options[SHOWN] ?? ''}`
}

/** Limits how long connecting takes, and checks addresses that stand in the URL itself: for those node calls no `lookup`. */
function governConnecting(agent: http.Agent, connectTimeoutMs: number, isAllowed: AddressCheck): void {
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (options, callback) => {
    // http-proxy hands on URL.hostname; the DNS would be asked for the brackets.
    const host = withoutBrackets(options.host ?? '')
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
