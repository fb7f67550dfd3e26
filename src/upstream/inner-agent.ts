import type http from 'node:http'
import type { Duplex } from 'node:stream'

export type ConnectOptions = {
  host?: string | null
  port?: number | string | null
  socket?: Duplex
  [more: symbol]: unknown
}

/** What `http.Agent` lets its subclasses change, as it is and not as its types have it. */
export type InnerAgent = {
  /** Takes a request that has no connection yet. */
  addRequest(request: http.ClientRequest, options: ConnectOptions): void
  /** The name under which connections are kept that can stand in for one another. */
  getName(options: ConnectOptions): string
  /** Gives a connection at once, or `undefined` and calls back. */
  createConnection(
    options: ConnectOptions,
    callback: (error: Error | null, socket?: Duplex) => void,
  ): Duplex | null | undefined
  /** Whether a connection that has just become free is kept. */
  keepSocketAlive(socket: Duplex): boolean
}

export function insideOf(agent: http.Agent): InnerAgent {
  return agent as unknown as InnerAgent
}
