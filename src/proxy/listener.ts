import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { ListenAddress, Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { listenFailure } from '../listen-failure.ts'
import type { Secret } from '../secret.ts'
import { passOn, refuse } from './answer.ts'
import { CALLER_TOKEN_HEADER, type Caller, type CallerMode, callerByPullSecret, callerByToken } from './caller.ts'
import { limitConnections } from './connection-limit.ts'
import { drain } from './drain.ts'
import { Exchange, type Outcome } from './exchange.ts'
import { findRegistry } from './find-registry.ts'
import { checkHost } from './host-header.ts'
import { parsePull } from './parse-pull.ts'
import { type ServeParts, servePull } from './serve.ts'

export type ProxyParts = ServeParts & {
  registries: readonly Registry[]
  defaultRegistry: string
  /** Who may pull where a registry does not say. */
  callers: CallerMode
  /** Those that are good now. */
  callerTokens(): readonly Secret[]
  nowMs(): number
  /** Called before the first byte goes to a registry; what it throws is the answer. @throws AUDIT_UNAVAILABLE */
  begun(exchange: Exchange): void
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
  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: 1_000,
      requestTimeout: 0,
      keepAliveTimeout: 60_000,
      noDelay: true,
    },
    (request, response) => {
      const served = serve(request, response, parts).finally(() => underWay.delete(served))
      underWay.add(served)
    },
  )
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
  await listenOn(server, listen)
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    close: (drainTimeoutMs) => drain(server, drainTimeoutMs, underWay),
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, parts: ProxyParts): Promise<void> {
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
    exchange.settle(await answer(exchange, request, response, parts))
  } catch (thrown) {
    exchange.settle(refuse(thrown, exchange.pull, response))
  }
}

async function answer(
  exchange: Exchange,
  request: IncomingMessage,
  response: ServerResponse,
  parts: ProxyParts,
): Promise<Outcome> {
  checkHost(request)
  const pull = parsePull(request.method, request.url, parts.defaultRegistry)
  exchange.pull = pull
  if (hasBody(request)) throw new RegcreddError('REQUEST_MALFORMED', 'a pull has no body')
  if (pull.kind === 'ping') return ping(request, response, parts)
  const registry = findRegistry(parts.registries, pull.host, pull.repository)
  exchange.registry = registry
  exchange.caller = await callerOf(registry, request, parts)
  parts.begun(exchange)
  const served = await servePull(exchange, pull, registry, request, response, parts)
  return passOn(pull, served, response, registry.limits.answerTimeoutMs)
}

async function callerOf(registry: Registry, request: IncomingMessage, parts: ProxyParts): Promise<Caller> {
  const mode = registry.callers ?? parts.callers
  if (mode === 'open') return { kind: 'open' }
  if (mode === 'token') return callerByToken(request.headers, parts.callerTokens())
  return callerByPullSecret(request.headers, await parts.lend(registry.name))
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/**
 * `/v2/` is answered here, whatever the registry's state. Without a caller token it challenges, since podman, skopeo and dockerd take
 * from it whether to authenticate; containerd never asks it, so no pod's own secret is drawn out by this.
 */
function ping(request: IncomingMessage, response: ServerResponse, parts: ProxyParts): Outcome {
  const isLetIn = parts.callers === 'open' || mayPing(request, parts)
  const status = isLetIn ? 200 : 401
  if (!isLetIn) response.setHeader('www-authenticate', 'Basic realm="regcredd"')
  const body = '{}'
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    'docker-distribution-api-version': 'registry/2.0',
  })
  response.end(body)
  return {
    status,
    bytes: body.length,
    complete: true,
    digest: undefined,
    // Asking without anything is how clients learn that they must show something.
    code: isLetIn || !showsSomething(request) ? undefined : 'CALLER_REFUSED',
    cause: undefined,
  }
}

function showsSomething({ headers }: IncomingMessage): boolean {
  return headers.authorization !== undefined || headers[CALLER_TOKEN_HEADER] !== undefined
}

/** A pull secret is looked at when a registry is named; here it is enough that one is shown. */
function mayPing(request: IncomingMessage, parts: ProxyParts): boolean {
  if (parts.callers === 'pull-secret') return request.headers.authorization !== undefined
  try {
    callerByToken(request.headers, parts.callerTokens())
    return true
  } catch (thrown) {
    if (thrown instanceof RegcreddError) return false
    throw thrown
  }
}

function listenOn(server: Server, listen: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(listenFailure('proxy.listen', listen, error)))
    server.listen(listen, resolve)
  })
}
