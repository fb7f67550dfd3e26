import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ListenAddress, Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { listenOn } from '../listen-failure.ts'
import { passOn, refuse } from './answer.ts'
import type { BlobSizes } from './blob-sizes.ts'
import { type Caller, callerByCertificate, callerByPullSecret, callerByToken } from './caller.ts'
import type { ShownCertificate } from './client-certificate.ts'
import { limitConnections } from './connection-limit.ts'
import { drain } from './drain.ts'
import { Exchange, type Outcome } from './exchange.ts'
import { findRegistry } from './find-registry.ts'
import { checkHost } from './host-header.ts'
import { parsePull } from './parse-pull.ts'
import { type PingParts, ping } from './ping.ts'
import { type ServeParts, servePull } from './serve.ts'
import type { TlsFiles } from './tls-files.ts'
import { createTlsServer } from './tls-server.ts'

export type ProxyParts = ServeParts &
  PingParts & {
    defaultRegistry: string
    blobSizes: BlobSizes
    /** Absent: plain HTTP. */
    tls: TlsFiles | undefined
    /** Called before the first byte goes to a registry; what it throws is the answer. @throws AUDIT_UNAVAILABLE */
    begun(exchange: Exchange): Promise<void>
    /** Called once for each request. */
    ended(exchange: Exchange, outcome: Outcome): void
  }

export type ProxyLimits = { headersTimeoutMs: number; maxConnections: number }

export type PullProxy = {
  /** The port that is listened on, for `:0`. */
  port: number
  connections(): Promise<number>
  /** Takes no new connections and ends when the requests under way have ended, at the latest after `drainTimeoutMs`. */
  close(drainTimeoutMs: number): Promise<void>
}

/** One for all: an abort without a reason makes a DOMException, which costs more than parsing the request. */
const GONE = new RegcreddError('UPSTREAM_UNREACHABLE', 'the caller went away')

const NO_TLS: ShownCertificate = { fault: 'this listener speaks no TLS' }

const STATUS_OF_FAULT = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
])

/**
 * Starts the pull proxy.
 * @throws LISTEN_FAILED
 */
export async function startProxy(listen: ListenAddress, limits: ProxyLimits, parts: ProxyParts): Promise<PullProxy> {
  const underWay = new Set<Promise<void>>()
  const options: ServerOptions & { headersTimeout: number } = {
    headersTimeout: limits.headersTimeoutMs,
    // Also with nobody connected it wakes the process.
    connectionsCheckingInterval: Math.max(1_000, limits.headersTimeoutMs / 2),
    requestTimeout: 0,
    keepAliveTimeout: 60_000,
    noDelay: true,
  }
  const tls = parts.tls && createTlsServer(options, parts.tls)
  const server: Server = tls?.server ?? createServer(options)
  const certificateOf = tls?.certificateOf ?? (() => NO_TLS)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const served = serve(request, response, certificateOf, parts).finally(() => underWay.delete(served))
    underWay.add(served)
  })
  limitConnections(server, limits.maxConnections)
  // Without it node invites the body first (100 Continue), which no pull has.
  server.on('checkContinue', (request, response) => void server.emit('request', request, response))
  server.on('connect', (_request, socket) => {
    socket.end('HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status = STATUS_OF_FAULT.get(error.code ?? '') ?? '400 Bad Request'
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
    // Who never reads the answer must not hold the connection by it.
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy())
  })
  await listenOn(server, 'proxy.listen', listen)
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    close: (drainTimeoutMs) => {
      const drained = drain(server, drainTimeoutMs, underWay)
      tls?.dropHandshakes()
      return drained
    },
  }
}

type CertificateOf = (socket: Socket) => ShownCertificate

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  certificateOf: CertificateOf,
  parts: ProxyParts,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => {
    if (!response.writableFinished) gone.abort(GONE)
  })
  const exchange = new Exchange({
    peer: `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? ''}`,
    startedAtMs: parts.nowMs(),
    signal: gone.signal,
    onSettled: parts.ended,
  })
  response.setHeader('regcredd-request-id', exchange.id)
  // What is unread of a body must not be waited for, nor be taken for a next request.
  if (hasBody(request)) response.setHeader('connection', 'close')
  try {
    exchange.settle(await answer(exchange, request, response, certificateOf, parts))
  } catch (thrown) {
    exchange.settle(refuse(thrown, exchange.pull, response))
  }
}

async function answer(
  exchange: Exchange,
  request: IncomingMessage,
  response: ServerResponse,
  certificateOf: CertificateOf,
  parts: ProxyParts,
): Promise<Outcome> {
  checkHost(request)
  const pull = parsePull(request.method, request.url, parts.defaultRegistry)
  exchange.pull = pull
  if (hasBody(request)) throw new RegcreddError('REQUEST_MALFORMED', 'a pull has no body')
  if (pull.kind === 'ping') return ping(request, response, parts)
  const registry = findRegistry(parts.registries, pull.host, pull.repository)
  exchange.registry = registry
  exchange.caller = await callerOf(registry, request, certificateOf, parts)
  await parts.begun(exchange)
  const served = await servePull(exchange, pull, registry, request, response, parts)
  return passOn(pull, served, response, { registry, blobSizes: parts.blobSizes })
}

async function callerOf(
  registry: Registry,
  request: IncomingMessage,
  certificateOf: CertificateOf,
  parts: ProxyParts,
): Promise<Caller> {
  const mode = registry.callers ?? parts.callers
  if (mode === 'open') return { kind: 'open' }
  if (mode === 'mtls') return callerByCertificate(certificateOf(request.socket), parts.wallNowMs())
  if (mode === 'token') return callerByToken(request.headers, parts.callerTokens())
  return callerByPullSecret(request.headers, await parts.lend(registry.name))
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}
