import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** A registry that gives one endless-looking blob as fast as it is taken, on real sockets; `sentBytes` counts what the kernel took. */
export async function startFirehose(
  t: TestContext,
  { sizeBytes, framing }: { sizeBytes: number; framing: 'length' | 'chunks' },
): Promise<{ origin: string; sentBytes: () => number }> {
  let sentBytes = 0
  const piece = Buffer.alloc(1 << 16, 'x')
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')])
  const length = framing === 'length' ? `Content-Length: ${sizeBytes}` : 'Transfer-Encoding: chunked'
  const server = createServer((socket) => {
    let left = sizeBytes / piece.length
    const go = () => {
      while (left > 0) {
        left -= 1
        const isRoom = socket.write(framing === 'length' ? piece : chunk, () => (sentBytes += piece.length))
        if (!isRoom) return
      }
      if (left === 0 && framing === 'chunks') socket.write('0\r\n\r\n')
      left = -1
    }
    socket.on('error', () => undefined).on('drain', go)
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n${length}\r\n\r\n`)
      go()
    })
  })
  const open = new Set<Socket>()
  server.on('connection', (socket) => open.add(socket.on('close', () => open.delete(socket))))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sentBytes: () => sentBytes,
  }
}

/** Hands TCP connections on to a port of this machine and counts them. */
export async function startCounter(t: TestContext, port: number): Promise<{ port: number; connections: () => number }> {
  let connections = 0
  const server = createServer({ allowHalfOpen: true }, (near) => {
    connections += 1
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    near.on('error', () => far.destroy()).on('close', () => far.destroy())
    far.on('error', () => near.destroy()).on('close', () => near.destroy())
    near.pipe(far).pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, connections: () => connections }
}

/** How many files this process may have open; so many sockets can a test hold, some less. */
export async function openFilesLimit(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8')
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1])
}

/** Connects and sends these bytes, and stays; whatever becomes of it. */
export async function hangOn(port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  if (!socket.destroyed) socket.write(bytes)
  return socket
}
