import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type LookupFunction } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Connection } from '../../src/lane/connection.ts'
import { MAX_CONNECTING, Pool } from '../../src/lane/pool.ts'

const never = new AbortController().signal

/** A pool whose connections stand only when the test gives their address. */
async function poolOf(t: TestContext, connectTimeoutMs: number) {
  const server = createServer((socket) => socket.on('error', () => undefined))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const asked: (() => void)[] = []
  const lookup: LookupFunction = (_host, options, callback) => {
    asked.push(() => callback(null, options.all === true ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4))
  }
  const { port } = server.address() as AddressInfo
  const place = { host: 'registry.example', port, tls: undefined, connectTimeoutMs, lookup }
  const pool = new Pool(place, { maxConnections: 1_000, idleTimeoutMs: 1_000 })
  t.after(() => {
    pool.close()
    server.close()
  })
  return { pool, asked }
}

/** Gives each its address in its turn, until all stand. */
async function letAllStand(asked: (() => void)[], taken: Promise<Connection>[]): Promise<Connection[]> {
  let isOver = false
  const all = Promise.all(taken).finally(() => {
    isOver = true
  })
  while (!isOver) {
    asked.shift()?.()
    await turn()
  }
  return all
}

test('of a burst so many connections are made at a time, and a turn begins when one stands', async (t) => {
  const { pool, asked } = await poolOf(t, 10_000)
  const taken = Array.from({ length: MAX_CONNECTING + 3 }, () => pool.take(never))
  await turn()
  assert.equal(asked.length, MAX_CONNECTING)
  asked.shift()?.()
  await taken[0]
  await turn()
  assert.equal(asked.length, MAX_CONNECTING, 'one stands, the next has begun')
  for (const one of await letAllStand(asked, taken)) pool.release(one, 'dead')
})

test('who waits for the turn to connect gets a connection that has become free', async (t) => {
  const { pool, asked } = await poolOf(t, 10_000)
  const taken = Array.from({ length: MAX_CONNECTING }, () => pool.take(never))
  await turn()
  asked.shift()?.()
  const free = await (taken[0] ?? assert.fail())
  const holding = pool.take(never)
  const waiting = pool.take(never)
  await turn()
  pool.release(free, 'free')
  assert.equal(await waiting, free)
  assert.equal(asked.length, MAX_CONNECTING, 'and nothing was connected for it')
  for (const one of await letAllStand(asked, [...taken.slice(1), holding, waiting])) pool.release(one, 'dead')
})

test('where nothing answers, who waits for the turn to connect fails as soon as who connects', async (t) => {
  const { pool, asked } = await poolOf(t, 50)
  const taken = await Promise.allSettled(Array.from({ length: 3 * MAX_CONNECTING }, () => pool.take(never)))
  const codes = taken.map((one) => one.status === 'rejected' && one.reason.code)
  assert.deepEqual(new Set(codes), new Set(['UPSTREAM_TIMEOUT']))
  assert.equal(asked.length < 3 * MAX_CONNECTING, true, `${asked.length} had a turn`)
})

test('who leaves while waiting for the turn to connect takes nobody’s place', async (t) => {
  const { pool, asked } = await poolOf(t, 10_000)
  const taken = Array.from({ length: MAX_CONNECTING }, () => pool.take(never))
  await turn()
  const leaving = new AbortController()
  const left = pool.take(leaving.signal)
  const last = pool.take(never)
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  for (const one of await letAllStand(asked, [...taken, last])) pool.release(one, 'dead')
})
