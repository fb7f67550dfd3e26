import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createStreams } from '../../src/admin/stream.ts'
import { eventually } from '../helpers/eventually.ts'
import { sample } from '../keychain/sample.ts'
import { KEY, newPassword } from '../rotation/kit.ts'
import { createDesk } from './kit.ts'
import { eventsOf, serveWith } from './stream-kit.ts'

const times = { heartbeatMs: 60_000, slowReaderMs: 60_000, maxStreamMs: 60_000 }

async function rotating(context: TestContext, changes: Parameters<typeof createDesk>[0] = {}) {
  const desk = createDesk(changes)
  await desk.bench.keychain.update(KEY, () => sample(KEY, 'old'))
  desk.bench.registry.mood = 'hanging'
  const { id } = await desk.bench.rotations.start(KEY, newPassword('new'))
  context.after(() => desk.bench.rotations.close())
  return { ...desk, id, path: `/v1/rotations/${id}`, ask: await serveWith(context, desk.app) }
}

test('a rotation is followed from the state it is in to its end, in the form of its JSON', async (context) => {
  const { ask, path, id, bench } = await rotating(context)
  const answer = await ask(path)
  assert.equal(answer.headers['content-type'], 'text/event-stream')
  assert.equal(answer.headers['cache-control'], 'no-store')
  const [first] = await once(answer, 'data')
  assert.deepEqual(
    eventsOf(String(first)).map(({ name, data }) => [name, data.state]),
    [['state', 'STAGED']],
  )
  await bench.rotations.abort(id, { via: 'daemon', name: undefined })
  const [last, ...more] = eventsOf(await text(answer))
  assert.deepEqual([last?.name, last?.data.state, more], ['end', 'ABORTED', []])
  const again = eventsOf(await text(await ask(path)))
  assert.deepEqual(again, [last])
})

test('without that Accept it is one JSON, and an unknown rotation is a problem and no stream', async (context) => {
  const { ask, path } = await rotating(context)
  for (const accept of ['*/*', 'application/json', 'application/json, text/event-stream']) {
    const answer = await ask(path, { accept })
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
    assert.equal(JSON.parse(await text(answer)).state, 'STAGED')
  }
  const unknown = await ask('/v1/rotations/none')
  assert.deepEqual([unknown.statusCode, JSON.parse(await text(unknown)).code], [404, 'ROTATION_NOT_FOUND'])
})

test('there are 32 streams at most, and one that ends makes room', async (context) => {
  const { ask, path } = await rotating(context)
  const open = await Promise.all(Array.from({ length: 32 }, () => ask(path)))
  const refused = await ask(path)
  assert.deepEqual([refused.statusCode, refused.headers['retry-after']], [503, '10'])
  open[0]?.destroy()
  await eventually('there is room', async () => (await ask(path)).statusCode === 200)
})

test('a stream beats while nothing happens, and ends after its time without an end event', async (context) => {
  const beating = createStreams({ ...times, heartbeatMs: 20 })
  const long = await rotating(context, { admin: { streams: beating } })
  let heard = ''
  for await (const piece of await long.ask(long.path)) {
    heard += piece
    if (heard.split('\n').filter((line) => line === ':').length >= 3) break
  }
  const ending = createStreams({ ...times, maxStreamMs: 300 })
  const short = await rotating(context, { admin: { streams: ending } })
  for (const said of [heard, await text(await short.ask(short.path))])
    assert.deepEqual(
      eventsOf(said).map(({ name }) => name),
      ['state'],
    )
})
