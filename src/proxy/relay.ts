import type { Agent, ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import httpProxy from 'http-proxy'
import { RegcreddError } from '../errors.ts'
import { toConnectionError } from '../upstream/connection-error.ts'

/** Token servers of large organisations make tokens of many KiB; node's default of 16 KiB for all headers fails on them. */
const MAX_HEADER_BYTES = 65_536

export type RelayRequest = {
  method: 'GET' | 'HEAD'
  to: URL
  headers: OutgoingHttpHeaders
  agent: Agent
  /** How long until the answer's head, and between two pieces of its body. */
  answerTimeoutMs: number
}

export type Relay = {
  /**
   * Sends one request without a body and gives the head of its answer, the body unread.
   * @throws UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT, UPSTREAM_MALFORMED, or the coded error that the agent's connection ended with
   */
  send(request: RelayRequest, response: ServerResponse, signal: AbortSignal): Promise<IncomingMessage>
}

/** http-proxy sends `options.buffer`'s bytes and reads only these fields of the request, so it never sees the caller's own headers. */
type StandIn = Readable & { method: string; url: string; headers: OutgoingHttpHeaders; socket: { destroyed: false } }

type Pending = {
  request: RelayRequest
  started: (sent: ClientRequest) => void
  answered: (answer: IncomingMessage) => void
}

/** Sends by http-proxy; decides nothing. Its answers are taken by hand (`selfHandleResponse`), so a 401 or a redirect can be acted on. */
export function createRelay(): Relay {
  const proxy = httpProxy.createProxyServer({ selfHandleResponse: true, ignorePath: false, toProxy: true })
  const pending = new WeakMap<object, Pending>()
  proxy.on('proxyReq', (sent, standIn) => pending.get(standIn)?.started(sent))
  proxy.on('proxyRes', (answer, standIn) => pending.get(standIn)?.answered(answer))

  function send(request: RelayRequest, response: ServerResponse, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const standIn = standInFor(request)
      let sent: ClientRequest | undefined
      const stop = (error: RegcreddError) => {
        settle()
        reject(error)
        sent?.destroy()
      }
      const aborted = () => stop(new RegcreddError('UPSTREAM_UNREACHABLE', 'the caller went away'))
      const timer = setTimeout(() => stop(new RegcreddError('UPSTREAM_TIMEOUT')), request.answerTimeoutMs)
      const settle = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', aborted)
      }
      if (signal.aborted) return aborted()
      signal.addEventListener('abort', aborted, { once: true })
      pending.set(standIn, {
        request,
        started: (clientRequest) => {
          sent = clientRequest
          // http-proxy folds `//` in a path into one; a store's signed URL must arrive as it was given.
          clientRequest.path = request.to.pathname + request.to.search
          standIn.push(null)
          if (signal.aborted) clientRequest.destroy()
        },
        answered: (answer) => {
          settle()
          resolve(answer)
        },
      })
      const target = {
        protocol: request.to.protocol,
        hostname: request.to.hostname,
        host: request.to.hostname,
        port: request.to.port,
      }
      proxy.web(
        standIn as never,
        response as never,
        {
          target: target as never,
          agent: request.agent,
          buffer: standIn,
          ssl: { maxHeaderSize: MAX_HEADER_BYTES } as never,
        },
        (error) => stop(toConnectionError(error)),
      )
    })
  }
  return { send }
}

/** Ends only when the socket is there (`proxyReq`), so that until then nothing is flushed and the path can be set. */
function standInFor(request: RelayRequest): StandIn {
  return Object.assign(new Readable({ read: () => undefined }), {
    method: request.method,
    url: '/',
    headers: request.headers,
    socket: { destroyed: false as const },
  })
}
