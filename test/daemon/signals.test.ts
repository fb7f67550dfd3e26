import assert from 'node:assert/strict'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { ask } from '../helpers/proxy.ts'
import { beginPull, slowBlob, startPair } from './pair.ts'

test('SIGTERM lets a blob under way complete, takes no new pulls, says so, and ends with 0', async (t) => {
  const { registry, daemon, port, manifest, token } = await startPair(t)
  const { path, sizeBytes, state } = slowBlob(registry)
  const pull = await beginPull(daemon, path)
  t.after(pull.close)
  process.kill(daemon.pid, 'SIGTERM')
  await eventually('new connections are refused', () =>
    ask(port(), manifest, token()).then(
      () => false,
      ({ code }) => code === 'ECONNREFUSED',
    ),
  )
  const ready = await fetch(`${daemon.health}/readyz`)
  assert.deepEqual([ready.status, /the daemon is stopping/.test(await ready.text())], [503, true])
  assert.deepEqual([pull.state.ended, pull.state.cut], [false, false])
  state.release()
  const releasedAt = performance.now()
  assert.deepEqual(await daemon.ended(), { code: 0, signal: null })
  assert.ok(performance.now() - releasedAt < 20_000, 'the kept connection of the puller does not hold it up')
  await eventually('the puller has read it all', () => pull.state.ended || pull.state.cut)
  assert.deepEqual([pull.state.bytes, pull.state.ended, pull.state.cut], [sizeBytes, true, false])
  const records = await daemon.audit()
  assert.deepEqual(
    records.slice(-2).map(({ type }) => type),
    ['pull.end', 'daemon.stop'],
  )
})

test('a blob that outlasts proxy.drainTimeoutMs is cut, never ended as if it were whole, and the daemon ends with 0', async (t) => {
  const { registry, daemon } = await startPair(t, { config: { proxy: { drainTimeoutMs: 300 } } })
  const { path } = slowBlob(registry)
  const pull = await beginPull(daemon, path)
  t.after(pull.close)
  process.kill(daemon.pid, 'SIGTERM')
  assert.deepEqual(await daemon.ended(), { code: 0, signal: null })
  await eventually('the puller sees the cut', () => pull.state.cut)
  assert.equal(pull.state.ended, false)
  const end = (await daemon.audit()).findLast(({ type }) => type === 'pull.end')
  assert.partialDeepStrictEqual(end, { complete: false })
})

test('a second SIGTERM does not wait for the blob', async (t) => {
  const { registry, daemon } = await startPair(t)
  const { path } = slowBlob(registry)
  const pull = await beginPull(daemon, path)
  t.after(pull.close)
  process.kill(daemon.pid, 'SIGTERM')
  await eventually('it is stopping', () => daemon.log().includes('"stopping"'))
  process.kill(daemon.pid, 'SIGTERM')
  assert.deepEqual(await daemon.ended(), { code: null, signal: 'SIGTERM' })
})

test('SIGHUP reopens the audit file after a rotation has moved it away, and its numbers go on', async (t) => {
  const { daemon, port, manifest, token } = await startPair(t)
  const file = join(daemon.folder, 'log/audit.jsonl')
  const isRecorded = async () => (await daemon.audit()).at(-1)?.type === 'pull.end'
  assert.equal((await ask(port(), manifest, token())).status, 200)
  await eventually('the end of the pull', isRecorded)
  await rename(file, `${file}.1`)
  process.kill(daemon.pid, 'SIGHUP')
  await eventually('the new file', async () => (await readFile(file, 'utf8').catch(() => '')) !== '')
  assert.equal((await ask(port(), manifest, token())).status, 200)
  await eventually('the end of the pull', isRecorded)
  const old = (await readFile(`${file}.1`, 'utf8')).trimEnd().split('\n')
  const fresh = await daemon.audit()
  assert.deepEqual(
    fresh.map(({ type }) => type),
    ['audit.reopened', 'pull.begin', 'pull.end'],
  )
  assert.deepEqual(
    fresh.map(({ seq }) => seq),
    [1, 2, 3].map((place) => place + old.length),
  )
})
