import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RegcreddError } from '../../src/errors.ts'
import { keepFresh } from '../../src/keychain/keep-fresh.ts'
import { keepKnown } from '../../src/keychain/known.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !holds(); turn += 1) await sleep(5)
  assert.ok(holds(), 'not within a second')
}

/** A keychain that can be broken, looked at every 5 ms, on a clock that stands until it is moved. */
async function start(t: TestContext) {
  const memory = createMemoryKeychain()
  const state = { broken: undefined as RegcreddError | undefined, nowMs: 1_000_000, readings: 0, news: [] as string[] }
  const keychain = keepKnown(
    {
      ...memory,
      all: async () => {
        state.readings += 1
        if (state.broken !== undefined) throw state.broken
        return memory.all()
      },
      get: async (key) => {
        if (state.broken !== undefined) throw state.broken
        return memory.get(key)
      },
    },
    { clock: () => state.nowMs },
  )
  const fresh = await keepFresh(keychain, {
    clock: () => state.nowMs,
    onNews: (seen) => state.news.push(seen.code ?? seen.state),
    lookEveryMs: 5,
  })
  t.after(() => fresh.close())
  return { state, keychain }
}

test('a keychain that works is read once a minute', async (t) => {
  const { state } = await start(t)
  await sleep(50)
  assert.equal(state.readings, 1)
  state.nowMs += 60_000
  await until(() => state.readings === 2)
  assert.deepEqual(state.news, ['ready'])
})

test('a keychain that was met locked by somebody else is told of, looked at often, and told of when it is back', async (t) => {
  const { state, keychain } = await start(t)
  state.broken = new RegcreddError('KEYCHAIN_LOCKED')
  await assert.rejects(keychain.get('r.example'), { code: 'KEYCHAIN_LOCKED' })
  await until(() => state.readings > 3)
  assert.deepEqual(state.news, ['ready', 'KEYCHAIN_LOCKED'])
  state.broken = undefined
  await until(() => state.news.at(-1) === 'ready')
  assert.equal(keychain.seen().state, 'ready')
  assert.equal(state.news.length, 3)
})

test('a clock that is set back does not keep the keychain from being read', async (t) => {
  const { state } = await start(t)
  state.nowMs -= 3_600_000
  await until(() => state.readings === 2)
})
