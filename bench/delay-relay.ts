// A stretch of network on loopback: hands TCP connections on to a port of this machine, each byte after half a round trip, and the first
// after one more, for the handshake of TCP, which loopback does not have. A process of its own, so that it delays nothing else.
//   node delay-relay.ts ROUND-TRIP-MS PORT...
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { parseArgs } from 'node:util'

/** What may be on its way in one direction of one connection: enough for 600 MB/s at 50 ms. */
const MAX_UNDER_WAY_BYTES = 16 * 1024 * 1024

const [roundTrip = '0', ...ports] = parseArgs({ allowPositionals: true }).positionals
const roundTripMs = Number(roundTrip)

const listening = await Promise.all(ports.map((port) => listen(Number(port))))
process.stdout.write(`relays ${listening.join(' ')}\n`)

function listen(port: number): Promise<number> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => setTimeout(() => other.destroy(), roundTripMs).unref())
    }
    delay(near, far, roundTripMs)
    delay(far, near, 0)
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

/** `from` → `to`, in order; the first `handshakeMs` of the connection hold everything back. */
function delay(from: Socket, to: Socket, handshakeMs: number): void {
  const notBeforeMs = performance.now() + handshakeMs
  const queue: { atMs: number; act: () => void }[] = []
  let underWayBytes = 0

  const later = (act: () => void) => {
    queue.push({ atMs: Math.max(notBeforeMs, performance.now()) + roundTripMs / 2, act })
    if (queue.length === 1) setTimeout(handOn, roundTripMs / 2 + Math.max(0, notBeforeMs - performance.now()))
  }
  function handOn(): void {
    while (queue[0] !== undefined && queue[0].atMs <= performance.now() + 0.5) queue.shift()?.act()
    if (queue[0] !== undefined) setTimeout(handOn, queue[0].atMs - performance.now())
  }

  from.on('data', (piece) => {
    underWayBytes += piece.length
    if (underWayBytes >= MAX_UNDER_WAY_BYTES) from.pause()
    later(() => {
      to.write(piece, () => {
        underWayBytes -= piece.length
        if (underWayBytes < MAX_UNDER_WAY_BYTES) from.resume()
      })
    })
  })
  from.on('end', () => later(() => to.end()))
}
