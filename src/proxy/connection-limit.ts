import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { tcpUnder } from './tcp-under.ts'

/**
 * Keeps a server's connections below `maxConnections` in such a way that connections which ask for nothing (half-open heads, idle
 * keep-alive) cannot starve those that do: the longest idle one makes room for a new one, and a new one is refused only when all
 * are at work.
 */
export function limitConnections(server: Server, maxConnections: number): void {
  /** Connections without a request under way, the longest idle first. */
  const idle = new Set<Socket>()
  let open = 0
  server.on('connection', (socket) => {
    open += 1
    socket.once('close', () => {
      open -= 1
      idle.delete(socket)
    })
    if (open > maxConnections) {
      const [longest = socket] = idle
      idle.delete(longest)
      longest.destroy()
    }
    if (!socket.destroyed) idle.add(socket)
  })
  const underWay = new WeakMap<Socket, number>()
  const count = (socket: Socket, step: 1 | -1) => {
    const requests = (underWay.get(socket) ?? 0) + step
    underWay.set(socket, requests)
    return requests
  }
  server.on('request', (request, response) => {
    const socket = tcpUnder(request.socket)
    count(socket, 1)
    idle.delete(socket)
    response.once('close', () => {
      // A caller may have sent its next request before this answer.
      if (count(socket, -1) === 0 && !socket.destroyed) idle.add(socket)
    })
  })
}
