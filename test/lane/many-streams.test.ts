import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLane } from '../../src/lane/lane.ts'
import { MAX_LARGE, retireSlab, takeSlab } from '../../src/lane/slab.ts'
import { digestOf } from '../helpers/crafted-image.ts'

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

test('many streams at once, by small pieces of memory, all come whole, to callers that read fast and to those that pause', async (t) => {
  const blobs = Array.from({ length: STREAMS }, (_, index) => Buffer.alloc(1_500_000 + index * 7_919, `blob ${index} `))
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
  const front = await listen(
    t,
    createServer((request, response) => {
      void (async () => {
        const ask = { method: 'GET', path: request.url ?? '', headers: { host: 'r' }, answerTimeoutMs: 10_000 } as const
        const taken = await lane.send(ask, new AbortController().signal)
        if (typeof taken === 'string') return void response.destroy()
        response.writeHead(200, { 'content-length': taken.head.headers['content-length'] })
        await taken.body.stream(response, 10_000)
      })()
    }),
  )
  // Others have taken what there is of large pieces.
  const held = Array.from({ length: MAX_LARGE }, takeSlab)
  t.after(() => held.forEach(retireSlab))
  const got = await Promise.all(
    blobs.map(async (_, index) => {
      const request = httpRequest({ host: '127.0.0.1', port: front, path: `/${index}`, agent: false })
      request.end()
      const [answer] = (await once(request, 'response')) as [IncomingMessage]
      const pieces: Buffer[] = []
      for await (const piece of answer) {
        pieces.push(piece)
        if (index % 2 === 1 && pieces.length % 8 === 0) await sleep(1)
      }
      return digestOf(Buffer.concat(pieces))
    }),
  )
  assert.deepEqual(got, blobs.map(digestOf))
})
