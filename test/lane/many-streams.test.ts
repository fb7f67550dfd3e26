import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLane } from '../../src/lane/lane.ts'
import { MAX_LARGE, retireSlab, SLAB_BYTES, SMALL_SLAB_BYTES, takeSlab } from '../../src/lane/slab.ts'
import { digestOf } from '../helpers/crafted-image.ts'
import { settled } from '../helpers/settled.ts'

const STREAMS = 40

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** Callers' way to blobs, by a lane for which so many large pieces of memory have been taken by others. */
async function startFront(
  t: TestContext,
  blobs: Buffer[],
  taken: number,
): Promise<{ front: number; responses: ServerResponse[] }> {
  const upstream = await listen(
    t,
    createServer((request, response) => {
      const blob = blobs[Number(request.url?.slice(1))] ?? assert.fail()
      response.writeHead(200, { 'content-length': blob.length })
      response.end(blob)
    }),
  )
  const place = { host: '127.0.0.1', port: upstream, tls: undefined, connectTimeoutMs: 10_000 }
  const lane = createLane(place, { maxConnections: STREAMS, idleTimeoutMs: 1_000 })
  t.after(() => lane.close())
  const responses: ServerResponse[] = []
  const front = await listen(
    t,
    createServer((request, response) => {
      responses.push(response)
      void (async () => {
        const ask = { method: 'GET', path: request.url ?? '', headers: { host: 'r' }, answerTimeoutMs: 10_000 } as const
        const got = await lane.send(ask, new AbortController().signal)
        if (typeof got === 'string') return void response.destroy()
        response.writeHead(200, { 'content-length': got.head.headers['content-length'] })
        await got.body.stream(response, 10_000)
      })()
    }),
  )
  const held = Array.from({ length: taken }, takeSlab)
  t.after(() => held.forEach(retireSlab))
  return { front, responses }
}

async function ask(front: number, index: number): Promise<IncomingMessage> {
  const request = httpRequest({ host: '127.0.0.1', port: front, path: `/${index}`, agent: false })
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return answer
}

test('many streams at once, by small pieces of memory, all come whole, to callers that read fast and to those that pause', async (t) => {
  const blobs = Array.from({ length: STREAMS }, (_, index) => Buffer.alloc(1_500_000 + index * 7_919, `blob ${index} `))
  const { front } = await startFront(t, blobs, MAX_LARGE)
  const got = await Promise.all(
    blobs.map(async (_, index) => {
      const pieces: Buffer[] = []
      for await (const piece of await ask(front, index)) {
        pieces.push(piece)
        if (index % 2 === 1 && pieces.length % 8 === 0) await sleep(1)
      }
      return digestOf(Buffer.concat(pieces))
    }),
  )
  assert.deepEqual(got, blobs.map(digestOf))
})

for (const [kind, taken, pieceBytes] of [
  ['small', MAX_LARGE, SMALL_SLAB_BYTES],
  // The last: its connection gives its large piece back some time after the test.
  ['large', 0, SLAB_BYTES],
] as const) {
  test(`of a ${kind} stream whose caller stops reading no more than two pieces are held, and the rest comes when it reads on`, {
    timeout: 25_000,
  }, async (t) => {
    // More than the kernel holds of a connection on its two sides.
    const blob = Buffer.alloc(48_000_000, 'of one stream ')
    const { front, responses } = await startFront(t, [blob], taken)
    const answer = await ask(front, 0)
    const [response] = responses
    if (response === undefined) throw new TypeError('it was asked')
    await settled('what the caller’s side has been given', () => response.socket?.bytesWritten ?? 0, 200)
    assert.equal(response.writableLength > 0, true, 'it has stalled')
    assert.equal(response.writableLength <= 2 * pieceBytes, true, `${response.writableLength} bytes are held`)
    assert.equal(digestOf(Buffer.concat(await answer.toArray())), digestOf(blob))
  })
}
