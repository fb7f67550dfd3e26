import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { closeServer } from '../close-server.ts'
import type { Followed } from '../followed-files.ts'
import { contextOptions, type KeyPair } from '../key-pair.ts'
import { listenOn } from '../listen-failure.ts'
import { boundConnections, type ConnectionLimits } from './bound-connections.ts'

const DRAIN_TIMEOUT_MS = 5_000
const LIMITS: ConnectionLimits = { inAll: 128, perAddress: 32, answerTimeoutMs: 60_000 }

export type TlsListener = {
  /** The port that is listened on, for `:0`. */
  port: number
  /** As with the socket. */
  close(drainTimeoutMs?: number): Promise<void>
}

export type TlsListenerOptions = {
  listen: { host: string; port: number }
  pairs: Followed<KeyPair>
  limits?: ConnectionLimits
}

/** Listens with TLS 1.2 or later, within limits of time, size and number; a new certificate is taken up as it comes. Throws LISTEN_FAILED. */
export async function listenTls(app: RequestListener, options: TlsListenerOptions): Promise<TlsListener> {
  const { listen, pairs, limits = LIMITS } = options
  const server = createServer(
    {
      ...contextOptions(pairs.now()),
      handshakeTimeout: 5_000,
      headersTimeout: 5_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 2_500,
      maxHeaderSize: 16_384,
    },
    app,
  )
  boundConnections(server, limits)
  await listenOn(server, 'admin.tls.listen', listen)
  pairs.onChange((pair) => server.setSecureContext(contextOptions(pair)))
  return {
    port: (server.address() as AddressInfo).port,
    close: (drainTimeoutMs = DRAIN_TIMEOUT_MS) => closeServer(server, drainTimeoutMs),
  }
}
