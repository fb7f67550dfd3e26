import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { createStreams } from '../../src/admin/stream.ts'
import { serveWith } from './stream-kit.ts'

const times = { heartbeatMs: 60_000, slowReaderMs: 60_000, maxStreamMs: 60_000 }

test('a reader who does not read is cut off, and is sent the newest alone until then', async (context) => {
  const streams = createStreams({ ...times, slowReaderMs: 200 })
  let made = 0
  const ended = Promise.withResolvers<void>()
  const ask = await serveWith(context, (_request, response) => {
    const values = async function* () {
      for (; made < 100_000; made += 1) yield { state: 'STAGED', filling: 'x'.repeat(100_000) }
    }
    void streams
      .send(
        response,
        values,
        () => false,
        (value) => value,
      )
      .finally(() => ended.resolve())
  })
  const answer = await ask('/')
  answer.pause()
  await ended.promise
  assert.ok(made < 1_000, `${made} were sent to nobody`)
  await assert.rejects(text(answer))
})

test('a reader who goes away ends what was followed for him', async (context) => {
  const streams = createStreams(times)
  const aborted = Promise.withResolvers<void>()
  const ask = await serveWith(context, (_request, response) => {
    const values = async function* (signal: AbortSignal) {
      yield { state: 'STAGED' }
      await once(signal, 'abort')
      aborted.resolve()
    }
    void streams.send(
      response,
      values,
      () => false,
      (value) => value,
    )
  })
  const answer = await ask('/')
  answer.on('error', () => {})
  await once(answer, 'data')
  answer.destroy()
  await aborted.promise
})
