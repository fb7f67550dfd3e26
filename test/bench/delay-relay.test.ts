import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { startDelayRelay } from '../../bench/relay.ts'

const ROUND_TRIP_MS = 40

test('behind the relay an answer takes a round trip, the first one more, and all bytes come in their order', async (t) => {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const relay = await startDelayRelay(ROUND_TRIP_MS, [(server.address() as AddressInfo).port])
  t.after(() => relay.stop())
  const socket = connect(relay.ports[0] ?? 0, '127.0.0.1')
  t.after(() => socket.destroy())
  const answerTo = async (text: string) => {
    const askedAtMs = performance.now()
    socket.write(text)
    const [piece] = await once(socket, 'data')
    assert.equal(String(piece), text)
    return performance.now() - askedAtMs
  }
  const [first, second] = [await answerTo('first'), await answerTo('second')]
  assert.ok(first >= 2 * ROUND_TRIP_MS - 2, `${first} ms`)
  assert.ok(second >= ROUND_TRIP_MS - 2, `${second} ms`)
  const content = randomBytes(20_000_000)
  socket.end(content)
  assert.ok((await buffer(socket)).equals(content))
})
