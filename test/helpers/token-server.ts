import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export type TokenRequest = { method: string; url: URL; headers: IncomingHttpHeaders; body: string }

/** A token server on a real socket that answers what a test says, and remembers all that it was asked. */
export type TokenServer = {
  /** `http(s)://127.0.0.1:port/token`. */
  realm: string
  origin: URL
  requests: TokenRequest[]
  /** Answers one request; by default a new token each time, valid for five minutes. */
  answer: (request: TokenRequest, response: ServerResponse) => void
  close(): Promise<void>
}

export async function startTokenServer(options: { tls?: { key: string; cert: string } } = {}): Promise<TokenServer> {
  const listener = async (incoming: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = incoming
    const request = { method, url: new URL(url, server.origin), headers, body: await text(incoming) }
    server.requests.push(request)
    server.answer(request, response)
  }
  const http = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  const origin = new URL(`${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`)
  const server: TokenServer = {
    origin,
    realm: new URL('/token', origin).href,
    requests: [],
    answer: (request, response) => {
      response.end(JSON.stringify({ token: `token-${server.requests.indexOf(request) + 1}`, expires_in: 300 }))
    },
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
  return server
}
