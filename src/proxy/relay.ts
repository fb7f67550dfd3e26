import type { Agent, ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import httpProxy, { type ServerOptions } from 'http-proxy'
import { RegcreddError } from '../errors.ts'
import { toConnectionError } from '../upstream/connection-error.ts'

/** Token servers of large organisations make tokens of many KiB; node's default of 16 KiB for all headers fails on them. */
const MAX_HEADER_BYTES = 65_536
/** As many as agents keep. */
const MAX_STALE_SOCKETS = 16

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
      let sent: ClientRequest | undefined
      let standIn: StandIn | undefined
      let isSettled = false
      const stop = (error: RegcreddError) => {
        if (isSettled) return
        settle()
        reject(error)
        // http-proxy ends its request then, also one that waits for a connection and is not known here yet.
        standIn?.emit('aborted')
      }
      const aborted = () => stop(new RegcreddError('UPSTREAM_UNREACHABLE', 'the caller went away'))
      const timer = setTimeout(() => stop(new RegcreddError('UPSTREAM_TIMEOUT')), request.answerTimeoutMs)
      const settle = () => {
        isSettled = true
        clearTimeout(timer)
        signal.removeEventListener('abort', aborted)
      }
      if (signal.aborted) return aborted()
      signal.addEventListener('abort', aborted, { once: true })
      const answered = (answer: IncomingMessage) => {
        settle()
        resolve(answer)
      }
      const attempt = (attemptsLeft: number) => {
        const own = standInFor(request)
        standIn = own
        const started = (clientRequest: ClientRequest) => {
          sent = clientRequest
          // http-proxy folds `//` in a path into one; a store's signed URL must arrive as it was given.
          clientRequest.path = request.to.pathname + request.to.search
          // Without a listener node closes the connection and tells nobody.
          clientRequest.once('upgrade', (_answer, socket) => {
            socket.destroy()
            stop(new RegcreddError('UPSTREAM_MALFORMED', 'it switches to another protocol'))
          })
          own.push(null)
        }
        pending.set(own, { started, answered })
        proxy.web(own as never, response as never, optionsFor(request, own), (error) => {
          // A body that breaks off is for its reader to see.
          if (isSettled) return
          if (attemptsLeft > 0 && isStale(sent, error)) attempt(attemptsLeft - 1)
          else stop(toConnectionError(error))
        })
      }
      attempt(MAX_STALE_SOCKETS)
    })
  }
  return { send }
}

function optionsFor({ to, agent }: RelayRequest, buffer: StandIn): ServerOptions {
  const target = { protocol: to.protocol, hostname: to.hostname, host: to.hostname, port: to.port }
  return { target: target as never, agent, buffer, ssl: { maxHeaderSize: MAX_HEADER_BYTES } as never }
}

/**
 * Whether a kept connection was being closed by the other side just as it was used again: nothing was answered, so a GET or HEAD can
 * be sent once more (RFC 9110 § 9.2.2). Each such failure uses up one kept connection, and a fresh one that fails is an error.
 */
function isStale(sent: ClientRequest | undefined, error: NodeJS.ErrnoException): boolean {
  return sent?.reusedSocket === true && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
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
