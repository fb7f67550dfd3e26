import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP } from 'node:net'
import { listenOn } from './listen-failure.ts'

const PLAIN = 'text/plain; charset=utf-8'

export type HealthParts = {
  listen: { host: string; port: number }
  /** Asked anew for each request. A reason is one line of plain words that anybody may read. */
  ready: () => { ready: boolean; reasons: string[] }
  metricsText: () => Promise<string>
  metricsContentType: string
  /** Told of what failed while an answer was made, for the log. */
  onError: (error: unknown) => void
}

type Answer = { status: number; contentType: string; body: string; allow?: string }

/**
 * Serves `/healthz` (200 as long as the event loop turns), `/readyz` (200, or 503 with one reason a line) and `/metrics`.
 * Only GET and HEAD, and only under a Host that is an address (of the loopback, where that is listened on) or `localhost`: a web page
 * that points its own name here (DNS rebinding) reads nothing. Throws LISTEN_FAILED with the address and what to do.
 */
export async function startHealth(parts: HealthParts): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer(
    { headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 5_000, connectionsCheckingInterval: 5_000 },
    (request, response) => {
      answerTo(request, parts).then(
        (answer) => send(request, response, answer),
        (error: unknown) => {
          parts.onError(error)
          send(request, response, plain(500, 'internal error'))
        },
      )
    },
  )
  server.maxConnections = 128
  await listenOn(server, 'health.listen', parts.listen)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)))
        server.closeAllConnections()
      }),
  }
}

async function answerTo(request: IncomingMessage, parts: HealthParts): Promise<Answer> {
  if (!isAllowedHost(request, parts.listen.host)) return plain(403, 'the Host header names no address of this port')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...plain(405, 'only GET and HEAD'), allow: 'GET, HEAD' }
  }
  const path = (request.url ?? '').split('?', 1)[0]
  if (path === '/healthz') return plain(200, 'ok')
  if (path === '/readyz') {
    const { ready, reasons } = parts.ready()
    return plain(ready ? 200 : 503, [ready ? 'ready' : 'not ready', ...reasons].join('\n'))
  }
  if (path === '/metrics')
    return { status: 200, contentType: parts.metricsContentType, body: await parts.metricsText() }
  return plain(404, 'there are /healthz, /readyz and /metrics')
}

function plain(status: number, text: string): Answer {
  return { status, contentType: PLAIN, body: `${text}\n` }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(answer.allow === undefined ? {} : { allow: answer.allow }),
  })
  response.end(request.method === 'HEAD' ? undefined : answer.body)
}

/** Node takes a request with two Hosts, and one of HTTP/1.0 with none. */
function isAllowedHost(request: IncomingMessage, listenHost: string): boolean {
  const [value, ...more] = request.headersDistinct['host'] ?? []
  if (value === undefined || more.length > 0) return false
  const [, bracketed, bare] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::[0-9]{1,5})?$/i.exec(value) ?? []
  const name = (bracketed ?? bare ?? '').toLowerCase()
  if (name === 'localhost') return true
  return isIP(name) !== 0 && (isLoopback(name) || !isLoopback(listenHost))
}

function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
}
