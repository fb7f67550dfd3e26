import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { keepFresh } from '../../src/keychain/keep-fresh.ts'
import { keepKnown } from '../../src/keychain/known.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import { replace } from '../../src/rotation/plan.ts'
import { Secret } from '../../src/secret.ts'
import { eventually } from '../helpers/eventually.ts'

const KEY = 'r.example'
const LOGIN = { username: 'ci', secret: new Secret('of the test only'), email: undefined }
const LOOK_MS = 5

/** A keychain that can be broken, on a clock that stands; what it holds is known for as long as `plaintextTtlMs` says. */
async function start(t: TestContext, { refreshEveryMs = 3_600_000, plaintextTtlMs = Number.POSITIVE_INFINITY } = {}) {
  const memory = createMemoryKeychain()
  await memory.update(KEY, (stored) => replace(stored, KEY, LOGIN, new Date()))
  const state = {
    broken: undefined as RegcreddError | undefined,
    readings: 0,
    left: [] as boolean[],
    sleptMs: 0,
    news: [] as string[],
  }
  const known = keepKnown(
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
    { clock: () => 0, plaintextTtlMs, steadyMs: () => performance.now() + state.sleptMs },
  )
  const keychain = {
    ...known,
    dropStale() {
      const isLeft = known.dropStale()
      state.left.push(isLeft)
      return isLeft
    },
  }
  const fresh = await keepFresh(keychain, {
    onNews: (seen) => state.news.push(seen.code ?? seen.state),
    lookEveryMs: LOOK_MS,
    refreshEveryMs,
  })
  t.after(() => fresh.close())
  return { state, keychain }
}

test('a keychain that works is read at its interval, and in between nobody is woken', async (t) => {
  const slow = await start(t)
  const { state } = await start(t, { refreshEveryMs: 20 })
  await eventually('it is read again and again', () => state.readings > 3)
  assert.deepEqual(state.news, ['ready'])
  assert.deepEqual([slow.state.readings, slow.state.left.length], [1, 1])
})

test('a keychain that was met locked by somebody else is told of, looked at often, and told of when it is back', async (t) => {
  const { state, keychain } = await start(t)
  state.broken = new RegcreddError('KEYCHAIN_LOCKED')
  await keychain.get(KEY)
  await eventually('it is looked at often', () => state.readings > 3)
  assert.deepEqual(state.news, ['ready', 'KEYCHAIN_LOCKED'])
  state.broken = undefined
  await eventually('it is told of', () => state.news.length === 3)
  assert.equal(state.news.at(-1), 'ready')
  assert.equal(keychain.seen().state, 'ready')
})

test('a keychain that was met locked for a moment is read again, and nothing is told', async (t) => {
  const { state, keychain } = await start(t)
  state.broken = new RegcreddError('KEYCHAIN_LOCKED')
  await keychain.get(KEY)
  state.broken = undefined
  await eventually('it is read again', () => state.readings === 2)
  assert.deepEqual(state.news, ['ready'])
})

test('what may be known for so long goes when that is over, also where the machine has slept meanwhile, though nobody asks', async (t) => {
  const { state } = await start(t, { plaintextTtlMs: 28_800_000 })
  await eventually('it is looked for', () => state.left.length > 2)
  assert.ok(!state.left.includes(false), 'it is known')
  state.sleptMs = 28_800_000
  await eventually('it is dropped', () => state.left.at(-1) === false)
  assert.equal(state.readings, 1)
})
