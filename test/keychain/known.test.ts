import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { type ErrorCode, RegcreddError } from '../../src/errors.ts'
import type { Credential } from '../../src/keychain/credential.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { keepKnown } from '../../src/keychain/known.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import { describeKeychain } from './conformance.ts'
import { passwordOf, sample } from './sample.ts'

const KEY = 'r.example'

describeKeychain({
  name: 'memory, kept known',
  durable: false,
  open: async () => ({
    keychain: keepKnown(createMemoryKeychain(), { clock: Date.now }),
    reopen: async () => createMemoryKeychain(),
  }),
})

describe('a keychain that keeps what it knows', () => {
  it('serves known credentials while the store fails, and says of unknown ones that it cannot tell', async () => {
    for (const code of ['KEYCHAIN_LOCKED', 'KEYCHAIN_UNAVAILABLE', 'KEYCHAIN_CORRUPT'] as const) {
      const { store, keychain } = setUp()
      await keychain.update(KEY, () => sample(KEY, 'known'))
      store.failWith(code)
      assert.equal(passwordOf(await keychain.get(KEY)), 'known')
      assert.equal(passwordOf((await keychain.lend(KEY))?.credential), 'known')
      assert.equal(passwordOf(keychain.known(KEY)), 'known')
      await assert.rejects(keychain.get('unknown.example'), { code })
      await assert.rejects(keychain.lend('unknown.example'), { code })
      await assert.rejects(keychain.keys(), { code })
      await assert.rejects(
        keychain.update(KEY, () => sample(KEY, 'new')),
        { code },
      )
      assert.equal(passwordOf(keychain.known(KEY)), 'known')
    }
  })

  it('forgets nothing by a refresh that fails, and only what is gone by one that works', async () => {
    const { store, keychain } = setUp()
    for (const key of [KEY, 'b.example', 'c.example']) await store.update(key, () => sample(key, 'one'))
    assert.equal((await keychain.refresh()).state, 'ready')
    await store.update(KEY, () => undefined)
    await store.update('b.example', () => sample('b.example', 'two'))
    store.failWith('KEYCHAIN_LOCKED')
    assert.equal((await keychain.refresh()).state, 'locked')
    assert.equal(passwordOf(keychain.known(KEY)), 'one')
    store.work()
    await keychain.refresh()
    assert.equal(keychain.known(KEY), undefined)
    assert.equal(await keychain.lend(KEY), undefined)
    assert.equal(passwordOf(keychain.known('b.example')), 'two')
    assert.equal(passwordOf(keychain.known('c.example')), 'one')
  })

  it('keeps all when the store fails in the middle of a refresh', async () => {
    const { store, keychain } = setUp()
    for (const key of [KEY, 'z.example']) await store.update(key, () => sample(key, 'one'))
    await keychain.refresh()
    await store.update(KEY, () => sample(KEY, 'two'))
    store.failWith('KEYCHAIN_UNAVAILABLE', 'z.example')
    assert.equal((await keychain.refresh()).code, 'KEYCHAIN_UNAVAILABLE')
    assert.equal(passwordOf(keychain.known(KEY)), 'two')
    assert.equal(passwordOf(keychain.known('z.example')), 'one')
  })

  it('lets one broken item hide no other', async () => {
    const { store, keychain } = setUp()
    for (const key of ['a.example', 'b.example', 'c.example']) await store.update(key, () => sample(key, 'one'))
    await keychain.refresh()
    for (const key of ['a.example', 'c.example']) await store.update(key, () => sample(key, 'two'))
    store.failWith('KEYCHAIN_CORRUPT', 'b.example')
    const { state, code } = await keychain.refresh()
    assert.deepEqual({ state, code }, { state: 'ready', code: 'KEYCHAIN_CORRUPT' })
    const passwords = ['a.example', 'b.example', 'c.example'].map((key) => passwordOf(keychain.known(key)))
    assert.deepEqual(passwords, ['two', 'one', 'two'])
    await keychain.get('a.example')
    assert.equal(keychain.seen().code, 'KEYCHAIN_CORRUPT')
  })

  it('lends what it knows without asking the store', async () => {
    const { store, keychain } = setUp()
    await store.update(KEY, () => sample(KEY, 'lent'))
    await keychain.refresh()
    store.hang()
    assert.equal(passwordOf((await keychain.lend(KEY))?.credential), 'lent')
  })

  it('asks the store once for many that want the same unknown credential', async () => {
    const { store, keychain } = setUp()
    await store.update(KEY, () => sample(KEY))
    await Promise.all(Array.from({ length: 100 }, () => keychain.lend(KEY)))
    assert.equal(store.reads(), 1)
  })

  it('believes for a second that a credential is absent, and not at all once the store fails', async () => {
    const { store, keychain, clock } = setUp()
    assert.equal(await keychain.lend(KEY), undefined)
    assert.equal(await keychain.lend(KEY), undefined)
    assert.equal(store.reads(), 1)
    await store.update(KEY, () => sample(KEY, 'came later'))
    clock.now += 1_000
    assert.equal(passwordOf((await keychain.lend(KEY))?.credential), 'came later')
    assert.equal(await keychain.lend('b.example'), undefined)
    store.failWith('KEYCHAIN_LOCKED')
    await keychain.refresh()
    await assert.rejects(keychain.lend('b.example'), { code: 'KEYCHAIN_LOCKED' })
  })

  it('never puts an older value back when a reading and a writing overlap', async () => {
    for (const begin of ['get', 'refresh'] as const) {
      const { store, keychain } = setUp()
      await store.update(KEY, () => sample(KEY, 'old'))
      const release = store.holdReads()
      const reading = begin === 'get' ? keychain.get(KEY) : keychain.refresh()
      await setImmediate()
      await keychain.update(KEY, () => sample(KEY, 'new'))
      release()
      await reading
      assert.equal(passwordOf(keychain.known(KEY)), 'new', begin)
    }
  })

  it('gives a reader that comes after a write what was written, though an older reading is under way', async () => {
    const { store, keychain } = setUp()
    await store.update(KEY, () => sample(KEY, 'old'))
    const release = store.holdReads()
    const before = keychain.get(KEY)
    await keychain.update(KEY, () => sample(KEY, 'new'))
    const after = keychain.get(KEY)
    release()
    assert.deepEqual([passwordOf(await before), passwordOf(await after)], ['old', 'new'])
  })

  it('does not drop a credential that was stored while the keys were being listed', async () => {
    const { store, keychain } = setUp()
    const release = store.holdReads()
    const refreshing = keychain.refresh()
    await keychain.update(KEY, () => sample(KEY, 'new'))
    release()
    await refreshing
    assert.equal(passwordOf(keychain.known(KEY)), 'new')
  })

  it('tells the state of the store, since when, and why', async () => {
    const { store, keychain, clock } = setUp()
    assert.equal(keychain.seen().state, 'unavailable')
    assert.equal(keychain.seen().refreshedAt, undefined)
    clock.now = 1_000
    await keychain.refresh()
    clock.now = 2_000
    await keychain.refresh()
    assert.deepEqual(keychain.seen(), {
      state: 'ready',
      since: '1970-01-01T00:00:01.000Z',
      refreshedAt: '1970-01-01T00:00:02.000Z',
      code: undefined,
      detail: undefined,
    })
    store.failWith('KEYCHAIN_LOCKED')
    clock.now = 3_000
    await assert.rejects(keychain.get(KEY))
    clock.now = 4_000
    await keychain.refresh()
    assert.deepEqual(keychain.seen(), {
      state: 'locked',
      since: '1970-01-01T00:00:03.000Z',
      refreshedAt: '1970-01-01T00:00:02.000Z',
      code: 'KEYCHAIN_LOCKED',
      detail: 'for the test',
    })
  })

  it('drops what it has not read for longer than it may keep it, and then says why it cannot lend it', async () => {
    const { store, keychain, time } = setUp({ plaintextTtlMs: 60_000 })
    for (const key of [KEY, 'b.example']) await store.update(key, () => sample(key, 'known'))
    await keychain.refresh()
    store.failWith('KEYCHAIN_LOCKED')
    time.steadyMs += 30_000
    await keychain.refresh()
    time.steadyMs += 29_999
    assert.equal(passwordOf((await keychain.lend(KEY))?.credential), 'known')
    time.steadyMs += 1
    assert.equal(keychain.knownCount(), 0)
    await assert.rejects(keychain.lend(KEY), { code: 'KEYCHAIN_LOCKED' })
    await assert.rejects(keychain.get('b.example'), { code: 'KEYCHAIN_LOCKED' })
    assert.equal(keychain.known(KEY), undefined)
    store.work()
    assert.equal(passwordOf((await keychain.lend(KEY))?.credential), 'known')
  })

  it('counts the time that it may keep a credential anew with each reading and each writing', async () => {
    const { store, keychain, time } = setUp({ plaintextTtlMs: 60_000 })
    await keychain.update(KEY, () => sample(KEY, 'written'))
    await store.update('b.example', () => sample('b.example', 'read'))
    time.steadyMs += 40_000
    await keychain.refresh()
    time.steadyMs += 40_000
    assert.equal(keychain.knownCount(), 2)
  })

  it('keeps what it knows for as long as it lives where it is told nothing else, and over any jump of the time of day', async () => {
    const { store, keychain, clock, time } = setUp()
    const short = setUp({ plaintextTtlMs: 60_000 })
    for (const { store: one, keychain: its } of [{ store, keychain }, short]) {
      await one.update(KEY, () => sample(KEY, 'known'))
      await its.refresh()
      one.failWith('KEYCHAIN_LOCKED')
    }
    time.steadyMs += 365 * 86_400_000
    clock.now += 365 * 86_400_000
    short.clock.now += 365 * 86_400_000
    assert.equal(passwordOf((await keychain.lend(KEY))?.credential), 'known')
    assert.equal(passwordOf((await short.keychain.lend(KEY))?.credential), 'known')
  })

  it('takes an error of the change for no failure of the store', async () => {
    const { keychain } = setUp()
    await keychain.refresh()
    await assert.rejects(
      keychain.update(KEY, () => {
        throw new RegcreddError('ROTATION_ACTIVE')
      }),
      { code: 'ROTATION_ACTIVE' },
    )
    assert.equal(keychain.seen().state, 'ready')
  })
})

function setUp(options: { plaintextTtlMs?: number } = {}) {
  const clock = { now: 0 }
  const time = { steadyMs: 0 }
  const store = faulty(createMemoryKeychain())
  const keychain = keepKnown(store, { clock: () => clock.now, steadyMs: () => time.steadyMs, ...options })
  return { store, clock, time, keychain }
}

/** A store in memory that can be told to fail, to hang, and to hold back what it has read. */
function faulty(inner: Keychain) {
  let failure: { code: ErrorCode; key: string | undefined } | undefined
  let gate: Promise<void> = Promise.resolve()
  let reads = 0
  const check = (key?: string) => {
    if (failure === undefined || (failure.key !== undefined && failure.key !== key)) return
    throw new RegcreddError(failure.code, 'for the test')
  }
  return {
    ...inner,
    failWith: (code: ErrorCode, key?: string) => {
      failure = { code, key }
    },
    work: () => {
      failure = undefined
    },
    hang: () => {
      gate = new Promise(() => undefined)
    },
    /** What is read from now on was read now, and is handed over when the function it gives is called. */
    holdReads: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return resolve
    },
    reads: () => reads,
    async keys() {
      check()
      const keys = await inner.keys()
      await gate
      return keys
    },
    async all() {
      const all: Map<string, Credential | RegcreddError> = await inner.all()
      if (failure?.key === undefined) check()
      else all.set(failure.key, new RegcreddError(failure.code, 'for the test'))
      await gate
      return all
    },
    async get(key: string) {
      reads += 1
      check(key)
      const credential = await inner.get(key)
      await gate
      return credential
    },
    async update(key: string, change: (stored: Credential | undefined) => Credential | undefined) {
      check(key)
      return inner.update(key, change)
    },
  }
}
