import type { Server } from 'node:https'
import type { Socket } from 'node:net'

export type ConnectionLimits = { inAll: number; perAddress: number; answerTimeoutMs: number }

/**
 * Bounds the connections of a server whose callers come from elsewhere: so many of one address, so many in all, where the longest idle one
 * makes room for a new one; and a finished answer must be taken in time.
 */
export function boundConnections(server: Server, limits: ConnectionLimits): void {
  // By address and port: the socket under a TLS connection is another object than the one that a request comes with.
  const idle = new Map<string, Socket>()
  const ofAddress = new Map<string, number>()
  let open = 0

  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket)
    const address = socket.remoteAddress ?? ''
    open += 1
    const count = (ofAddress.get(address) ?? 0) + 1
    ofAddress.set(address, count)
    socket.once('close', () => {
      open -= 1
      idle.delete(name)
      const left = (ofAddress.get(address) ?? 1) - 1
      if (left === 0) ofAddress.delete(address)
      else ofAddress.set(address, left)
    })
    if (count > limits.perAddress) return void socket.destroy()
    if (open > limits.inAll) {
      const [longest = socket] = idle.values()
      longest.destroy()
    }
    if (!socket.destroyed) idle.set(name, socket)
  })

  server.on('request', ({ socket }, response) => {
    const name = nameOf(socket)
    const raw = idle.get(name)
    idle.delete(name)
    let timer: NodeJS.Timeout | undefined
    response.once('prefinish', () => {
      timer = setTimeout(() => socket.destroy(), limits.answerTimeoutMs).unref()
    })
    response.once('close', () => {
      clearTimeout(timer)
      if (raw !== undefined && !raw.destroyed) idle.set(name, raw)
    })
  })
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
