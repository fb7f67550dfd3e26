import type { Socket } from 'node:net'

const under = new WeakMap<Socket, Socket>()

/** Notes over which TCP connection a socket speaks TLS. */
export function isOver(socket: Socket, connection: Socket): void {
  under.set(socket, connection)
}

/** The TCP connection of a request's socket: what is accepted, counted and cut. */
export function tcpUnder(socket: Socket): Socket {
  return under.get(socket) ?? socket
}
