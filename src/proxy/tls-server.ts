import type { ServerOptions, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { judgeCertificate, type ShownCertificate } from './client-certificate.ts'
import { isOver } from './tcp-under.ts'
import { contextOptions, type TlsFiles, type TlsMaterial } from './tls-files.ts'

export type TlsServer = {
  server: Server
  certificateOf(socket: Socket): ShownCertificate
  /** Ends what has not come to its first request, since a server that closes would wait for it. */
  dropHandshakes(): void
}

/** The first byte of a TLS connection, RFC 8446 § 5.1: a record of a handshake. No HTTP request begins with it. */
const HANDSHAKE = 22
const PLAIN_HTTP = 'this port speaks TLS: ask by https://\n'
const PLAIN_ANSWER = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${PLAIN_HTTP.length}\r\nConnection: close\r\n\r\n${PLAIN_HTTP}`

/**
 * A server of HTTP over TLS that asks for a client certificate and leaves it to the requests who needs one: so a refusal is an answer
 * with words, and modes can differ from registry to registry. It follows its files; connections that were judged by other authorities
 * or lists than those of now end with their request.
 */
export function createTlsServer(options: ServerOptions & { headersTimeout: number }, files: TlsFiles): TlsServer {
  const server = createServer({
    ...options,
    ...contextOptions(files.now()),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: options.headersTimeout,
  })
  let trust = trustOf(files.now())
  const trustAtAccept = new WeakMap<Socket, string>()
  const judged = new WeakMap<Socket, { certificate: ShownCertificate; trust: string | undefined }>()
  /** Connections whose handshake has not ended; a peer's address and port are its own as long as it is connected. */
  const early = new Map<string, Socket>()

  const handshake = server.listeners('connection')[0] as (connection: Socket) => void
  server.removeAllListeners('connection')
  server.on('connection', (connection: Socket) => {
    const peer = peerOf(connection)
    early.set(peer, connection)
    const timer = setTimeout(() => connection.destroy(), options.headersTimeout)
    // Each ends in 'close'.
    connection.on('error', () => undefined)
    connection.once('close', () => {
      clearTimeout(timer)
      if (early.get(peer) === connection) early.delete(peer)
    })
    connection.once('data', (bytes: Buffer) => {
      clearTimeout(timer)
      if (bytes[0] !== HANDSHAKE) return void connection.end(PLAIN_ANSWER, () => connection.destroy())
      connection.pause()
      connection.unshift(bytes)
      trustAtAccept.set(connection, trust)
      handshake.call(server, connection)
    })
  })
  server.removeAllListeners('tlsClientError')
  // The other side has the alert; there is nobody to speak HTTP to.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    const under = early.get(peerOf(socket))
    early.delete(peerOf(socket))
    if (under === undefined) return void socket.destroy()
    isOver(socket, under)
    judged.set(socket, { certificate: judgeCertificate(socket), trust: trustAtAccept.get(under) })
  })
  const isStale = (socket: Socket) => judged.get(socket)?.trust !== trust
  const underWay = new Set<ServerResponse>()
  server.on('request', ({ socket }, response) => {
    underWay.add(response)
    response.once('close', () => {
      underWay.delete(response)
      if (isStale(socket)) socket.end()
    })
  })
  files.onChange((material) => {
    server.setSecureContext(contextOptions(material))
    if (trustOf(material) === trust) return
    trust = trustOf(material)
    server.closeIdleConnections()
    for (const response of underWay) if (!response.headersSent) response.setHeader('connection', 'close')
  })
  return {
    server,
    certificateOf(socket) {
      const found = judged.get(socket)
      if (found === undefined || found.trust !== trust)
        return { fault: 'what certificates are held against has changed since this connection was made; connect again' }
      return found.certificate
    },
    dropHandshakes() {
      for (const connection of early.values()) connection.destroy()
    },
  }
}

/** What certificates are held against; a new one of the server itself changes nothing for its callers. */
function trustOf({ ca, crls }: TlsMaterial): string {
  return [ca, ...crls].join('\n')
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
