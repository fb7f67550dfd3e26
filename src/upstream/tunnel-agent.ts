import { once } from 'node:events'
import type http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { errnoOf } from '../errors.ts'
import { withoutBrackets } from '../registry/origin.ts'
import type { EgressProxy } from './egress.ts'
import { type ConnectOptions, type InnerAgent, insideOf } from './inner-agent.ts'
import { failure, openTunnel } from './tunnel.ts'

type Limits = { connectTimeoutMs: number; maxConnections: number }

/** Makes an agent connect through a proxy. `mayLead` is asked for every host before the proxy is; what it throws ends the request. */
export function throughProxy(
  agent: http.Agent,
  { proxy, limits, mayLead }: { proxy: EgressProxy; limits: Limits; mayLead: (host: string) => Promise<void> },
): void {
  const inner = insideOf(agent)
  const connect = inner.createConnection.bind(agent)

  async function open(options: ConnectOptions): Promise<Socket> {
    const host = withoutBrackets(options.host ?? '')
    const signal = AbortSignal.timeout(limits.connectTimeoutMs)
    await mayLead(host)
    const socket = await openTunnel(proxy, { host, port: Number(options.port) }, signal)
    if (!(agent instanceof https.Agent)) return socket
    // node:https keeps the TLS sessions; it makes no connection where it is given one.
    const secure = connect({ ...options, host, socket }, () => undefined) as TLSSocket
    // Also for an error that comes when nobody looks any more.
    secure.on('error', () => undefined)
    await once(secure, 'secureConnect', { signal }).catch((error: unknown) => {
      secure.destroy()
      if (signal.aborted) throw failure(proxy, 'TLS to the other end did not stand in time')
      if (errnoOf(error) === 'ECONNRESET') throw failure(proxy, 'the way was cut when TLS began', error)
      throw error
    })
    return secure
  }

  inner.createConnection = (options, callback) => {
    open(options).then(
      (socket) => callback(null, socket),
      (error) => callback(error),
    )
    return undefined
  }
  lineUp(inner, limits.maxConnections)
}

type Line = { underWay: number; waiting: { request: http.ClientRequest; go: () => void }[] }

/**
 * Lets so many requests to one host through at a time. Node counts a connection only when it stands: of a burst each request would open a
 * tunnel, however few are allowed.
 */
function lineUp(inner: InnerAgent, maxConnections: number): void {
  const add = inner.addRequest.bind(inner)
  const lines = new Map<string, Line>()

  function next(host: string, line: Line): void {
    line.underWay -= 1
    let first = line.waiting.shift()
    // Nobody waits for it any more; it is not worth a tunnel.
    while (first?.request.destroyed) first = line.waiting.shift()
    first?.go()
    if (line.underWay === 0) lines.delete(host)
  }

  inner.addRequest = (request, options) => {
    const host = `${options.host}:${options.port}`
    const line = lines.get(host) ?? { underWay: 0, waiting: [] }
    lines.set(host, line)
    const go = () => {
      line.underWay += 1
      // Its connection is free for the next one only after this.
      request.once('close', () => setImmediate(next, host, line))
      add(request, options)
    }
    if (line.underWay < maxConnections) go()
    else line.waiting.push({ request, go })
  }
}
