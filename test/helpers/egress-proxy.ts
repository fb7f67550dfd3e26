import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

/** A proxy on a real socket that opens tunnels (CONNECT), and knows names that nobody else does. */
export type EgressProxyServer = {
  /** `http(s)://127.0.0.1:PORT`. */
  url: URL
  /** `127.0.0.1:PORT`, as errors name it. */
  host: string
  /** All that it was asked for, in order. */
  asked: { target: string; authorization: string | undefined }[]
  /** Where targets (`name:port`) really lie: a port of 127.0.0.1. */
  places: Map<string, number>
  /** Answers a CONNECT in place of it; `true` if it has. */
  script: ((socket: Socket, target: string) => boolean) | undefined
  openConnections(): number
  /** Resets all that are open. */
  cut(): void
  /** The most that were open at one time. */
  mostConnections(): number
  close(): Promise<void>
}

export async function startEgressProxy(
  options: { login?: string; tls?: { key: string; cert: string } } = {},
): Promise<EgressProxyServer> {
  const sockets = new Set<Socket>()
  let most = 0
  const handle = (socket: Socket) => {
    sockets.add(socket)
    most = Math.max(most, sockets.size)
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket))
    void serve(socket).catch(() => socket.destroy())
  }
  const server: Server = options.tls === undefined ? createServer(handle) : createTlsServer(options.tls, handle)

  async function serve(socket: Socket): Promise<void> {
    let head = ''
    while (!head.includes('\r\n\r\n')) {
      const piece: Buffer | null = socket.read()
      if (piece === null) await once(socket, 'readable')
      else head += piece.toString('latin1')
    }
    const [, target = ''] = /^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head) ?? []
    const authorization = /^proxy-authorization: (.*)$/im.exec(head)?.[1]
    proxy.asked.push({ target, authorization })
    if (proxy.script?.(socket, target) === true) return
    const wanted = options.login && `Basic ${Buffer.from(options.login).toString('base64')}`
    if (wanted !== undefined && authorization !== wanted) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const port = proxy.places.get(target)
    if (port === undefined) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const other = connect(port, '127.0.0.1')
    other.on('error', () => socket.destroy()).on('close', () => socket.destroy())
    socket.on('close', () => other.destroy())
    await once(other, 'connect')
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    socket.pipe(other).pipe(socket)
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const proxy: EgressProxyServer = {
    url: new URL(`${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`),
    host: `127.0.0.1:${port}`,
    asked: [],
    places: new Map(),
    script: undefined,
    openConnections: () => sockets.size,
    mostConnections: () => most,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    async close() {
      proxy.cut()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
