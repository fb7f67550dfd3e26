import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { createReplica } from '../../src/fleet/replica.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import { type Entry, seqOf } from '../../src/keychain/tombstone.ts'
import { abort, remove, replace } from '../../src/rotation/plan.ts'
import { actsBy, loginOf, passwordsIn, refusedWith } from './acts.ts'
import { createFakeStore, type Fate } from './fake-store.ts'

const KEY = 'registry.corp.example'
const signal = new AbortController().signal

type Store = ReturnType<typeof createFakeStore>

function createNode(store: Store, node: string, keychain: Keychain = createMemoryKeychain()) {
  const adopted: Entry[] = []
  const replica = createReplica({
    key: KEY,
    node,
    store: store.api,
    keychain,
    sleep: async () => undefined,
    random: () => 0.5,
    onAdopted: (_key, entry) => adopted.push(entry),
    onStanding: () => {},
  })
  const change = (act: Parameters<typeof replica.update>[0]) => replica.update(act, signal)
  return {
    ...replica,
    keychain,
    adopted,
    ...actsBy((_key, act) => change(act), KEY),
    logout: () => change(remove),
    abort: (rotationId: string) => change((stored) => abort(stored, rotationId, 'ROTATION_ABORTED', new Date())),
    follow: () => replica.sync(signal),
    password: passwordsIn(keychain, KEY),
  }
}

test('what one node does another takes over: login, PENDING, commit, logout, and a login after it', async () => {
  const store = createFakeStore(KEY)
  const [a, b] = [createNode(store, 'a'), createNode(store, 'b')]
  await a.login('one')
  await b.follow()
  assert.equal(await b.password(), 'one')
  await a.stage('two', 'r1')
  await b.follow()
  assert.equal(await b.password('pending'), 'two')
  assert.equal((await b.keychain.get(KEY))?.rotations[0]?.node, 'a')
  await a.commit('r1')
  await b.follow()
  assert.deepEqual([await b.password(), await b.password('previous')], ['two', 'one'])
  assert.deepEqual(await a.keychain.get(KEY), await b.keychain.get(KEY))
  await b.logout()
  await a.follow()
  assert.equal(await a.password(), undefined)
  await a.login('three')
  await b.follow()
  assert.equal(await b.password(), 'three')
  assert.deepEqual(await a.keychain.get(KEY), await b.keychain.get(KEY))
  assert.equal(b.state().standing, 'synced')
})

test('of two nodes that rotate at once one wins, and the other is told which rotation is active', async () => {
  const store = createFakeStore(KEY)
  const [a, b] = [createNode(store, 'a'), createNode(store, 'b')]
  await a.login('one')
  await b.follow()
  const outcomes = await Promise.allSettled([a.stage('by-a', 'ra'), b.stage('by-b', 'rb')])
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  const lost = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
  assert.equal(lost.reason.code, 'ROTATION_ACTIVE')
  assert.match(lost.reason.detail, /^rotation r[ab]$/)
  await Promise.all([a.follow(), b.follow()])
  assert.deepEqual(await a.keychain.get(KEY), await b.keychain.get(KEY))
})

test('a write that somebody came before is made anew on what he wrote', async () => {
  const store = createFakeStore(KEY)
  const [a, b] = [createNode(store, 'a'), createNode(store, 'b')]
  await a.login('one')
  let isFirst = true
  store.beforeWrite = () => {
    if (!isFirst) return
    isFirst = false
    const entry = store.entry()
    assert.ok(entry && 'credential' in entry)
    store.put({ credential: replace(entry.credential, KEY, loginOf('between'), new Date()) })
  }
  await b.login('two')
  assert.deepEqual([await b.password(), await b.password('previous')], ['two', 'between'])
  assert.equal((await b.keychain.get(KEY))?.seq, 3)
})

test('an older Secret never overwrites what a node holds; the node puts the newer one back', async () => {
  const store = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('one')
  const old = store.entry()
  await a.login('two')
  store.put(old)
  await a.follow()
  assert.equal(await a.password(), 'two')
  const now = store.entry()
  assert.ok(now && 'credential' in now)
  assert.equal(now.credential.seq, 2)
  assert.equal(a.adopted.length, 0)
})

test('a Secret that is gone, cannot be read or is not ours takes nothing away', async () => {
  for (const fate of ['silent', 'unreachable', 'forbidden', 'refused', 'throttled', 'timeout'] as const) {
    const store = createFakeStore(KEY)
    const a = createNode(store, 'a')
    await a.login('one')
    store.fate = () => fate
    await a.follow()
    assert.equal(await a.password(), 'one', fate)
    assert.equal(a.state().standing, 'unknown', fate)
  }
  const store = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('one')
  store.garble('its type is another')
  await a.follow()
  assert.deepEqual([await a.password(), a.state().standing], ['one', 'garbled'])
  await assert.rejects(a.login('two'), refusedWith('FLEET_CONFLICT'))
  assert.equal(store.calls.filter((call) => call !== 'read').length, 1, 'nothing was written over it')
  store.garble(undefined)
  store.put(undefined)
  await a.follow()
  assert.deepEqual([await a.password(), a.state().standing], ['one', 'synced'])
  assert.ok(store.entry(), 'it was put back')
})

test('a seq that no rotation can have come to is refused, so that nobody leads the fleet to the end of all numbers', async () => {
  const store = createFakeStore(KEY)
  const node = createNode(store, 'a')
  await node.login('one')
  const entry = store.entry()
  assert.ok(entry && 'credential' in entry)
  const { seq } = entry.credential
  store.put({ credential: { ...entry.credential, seq: seq + 2 ** 20 + 1 } })
  assert.equal(await node.follow(), undefined)
  assert.deepEqual([node.state().standing, node.state().seq, node.adopted.length], ['garbled', seq, 0])
  await assert.rejects(node.login('two'), { code: 'FLEET_CONFLICT' })
  store.put({ tombstone: { seq: 2 ** 40, version: 9 } })
  await node.follow()
  assert.equal(await node.password(), 'one')
  const fresh = createNode(store, 'b')
  await fresh.follow()
  assert.equal(fresh.state().standing, 'garbled')
  // As far behind as a node may be that was off for years.
  store.put({ credential: { ...entry.credential, seq: seq + 100_000 } })
  await node.follow()
  assert.deepEqual([node.state().standing, node.state().seq], ['synced', seq + 100_000])
})

test('two credentials of the same age are reported and left alone, until a login decides', async () => {
  const store = createFakeStore(KEY)
  const alone = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('of-a')
  const keychain = createMemoryKeychain()
  await createNode(alone, 'b', keychain).login('of-b')
  const b = createNode(store, 'b', keychain)
  await b.follow()
  assert.deepEqual([b.state().standing, await b.password()], ['forked', 'of-b'])
  await a.follow()
  assert.equal(await a.password(), 'of-a')
  await assert.rejects(b.stage('three', 'r1'), refusedWith('FLEET_CONFLICT'))
  assert.deepEqual(await b.password(), 'of-b')
  await b.login('decided')
  await a.follow()
  assert.deepEqual([await a.password(), await b.password()], ['decided', 'decided'])
})

test('two nodes that hold the same login before they share it are no fork', async () => {
  const store = createFakeStore(KEY)
  const alone = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('same')
  const keychain = createMemoryKeychain()
  const before = createNode(alone, 'b', keychain)
  await before.login('same')
  const b = createNode(store, 'b', keychain)
  await b.follow()
  assert.equal(b.state().standing, 'synced')
  assert.deepEqual(await b.keychain.get(KEY), await a.keychain.get(KEY))
})

test('while the API server is away nothing is changed, and the error says so', async () => {
  const store = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('one')
  for (const call of ['read', 'replace']) {
    store.fate = (made) => (made === call ? 'unreachable' : 'done')
    await assert.rejects(a.stage('two', 'r1'), refusedWith('FLEET_UNAVAILABLE'))
    assert.equal(await a.password('pending'), undefined, call)
  }
  store.fate = () => 'done'
  await a.stage('two', 'r1')
  assert.equal(await a.password('pending'), 'two')
})

test('a write whose answer got lost is found to be done, and is not done twice', async () => {
  const store = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('one')
  store.fate = (call) => (call === 'replace' ? 'lost' : 'done')
  await a.stage('two', 'r1')
  assert.equal(await a.password('pending'), 'two')
  await a.abort('r1')

  let isAway = false
  store.fate = (call) => {
    if (call === 'replace') isAway = true
    return call === 'replace' ? 'lost' : isAway ? 'unreachable' : 'done'
  }
  // Nobody can tell whether it was done; what was published is taken over when the cluster is there again.
  await assert.rejects(a.stage('two', 'r2'), refusedWith('FLEET_UNAVAILABLE'))
  store.fate = () => 'done'
  await a.follow()
  assert.equal(await a.password('pending'), 'two')
  assert.equal((await a.keychain.get(KEY))?.rotations[1]?.node, 'a')
  await assert.rejects(a.stage('three', 'r3'), refusedWith('ROTATION_ACTIVE'))
  await a.commit('r2')
  assert.equal(await a.password(), 'two')
})

test('a commit whose answer got lost is the same commit when it is tried again', async () => {
  const store = createFakeStore(KEY)
  const a = createNode(store, 'a')
  await a.login('one')
  await a.stage('two', 'r1')
  let isAway = false
  store.fate = (call) => {
    if (call === 'replace') isAway = true
    return call === 'replace' ? 'lost' : isAway ? 'silent' : 'done'
  }
  await assert.rejects(a.commit('r1'), refusedWith('FLEET_UNAVAILABLE'))
  store.fate = () => 'done'
  const seq = (await a.commit('r1'))?.seq
  assert.equal(seq, 3)
  assert.deepEqual([await a.password(), await a.password('previous')], ['two', 'one'])
})

test('a keychain that cannot be read publishes nothing, and one that cannot be written is brought in step later', async () => {
  const store = createFakeStore(KEY)
  const keychain = createMemoryKeychain()
  let broken = 0
  const breaking: Keychain = {
    ...keychain,
    replicate: async (key, decide) => {
      broken -= 1
      if (broken === 0) throw new RegcreddError('KEYCHAIN_LOCKED')
      return keychain.replicate(key, decide)
    },
  }
  const a = createNode(store, 'a', breaking)
  broken = 1
  await assert.rejects(a.login('one'), refusedWith('KEYCHAIN_LOCKED'))
  assert.equal(store.entry(), undefined)
  broken = 2
  await assert.rejects(a.login('two'), refusedWith('KEYCHAIN_LOCKED'))
  assert.ok(store.entry(), 'it was published before it could be stored')
  await a.follow()
  assert.equal(await a.password(), 'two')
})

test('an abort is told to all, and its PENDING is gone everywhere', async () => {
  const store = createFakeStore(KEY)
  const [a, b] = [createNode(store, 'a'), createNode(store, 'b')]
  await a.login('one')
  await a.stage('two', 'r1')
  await b.follow()
  await a.abort('r1')
  await b.follow()
  assert.deepEqual([await b.password('pending'), await b.password()], [undefined, 'one'])
})

test('whatever is done on whichever node, and whatever becomes of the calls, all end with the same credential and no seq ever shrinks', async () => {
  const fate = fc.constantFrom<Fate>('done', 'done', 'done', 'lost', 'unreachable', 'conflict', 'timeout', 'silent')
  const act = fc.record({
    node: fc.nat(2),
    what: fc.constantFrom('login', 'logout', 'stage', 'commit', 'abort', 'follow'),
    fates: fc.array(fate, { maxLength: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
      const store = createFakeStore(KEY)
      const nodes = ['a', 'b', 'c'].map((name) => createNode(store, name))
      const highest = new Map<number, number>()
      let count = 0
      for (const { node, what, fates } of acts) {
        const one = nodes[node]
        assert.ok(one)
        const queue = [...fates]
        store.fate = () => queue.shift() ?? 'done'
        count += 1
        const active =
          (await one.keychain.get(KEY))?.rotations.findLast(({ state }) => state === 'STAGED')?.id ?? 'none'
        const run = {
          login: () => one.login(`p${count}`),
          logout: one.logout,
          stage: () => one.stage(`p${count}`, `r${count}`),
          commit: () => one.commit(active),
          abort: () => one.abort(active),
          follow: one.follow,
        }[what as 'login']
        await run().catch((thrown: unknown) => assert.ok(thrown instanceof RegcreddError, String(thrown)))
        const seq = (await one.keychain.replicate(KEY, () => undefined)) ?? { tombstone: { seq: 0, version: 0 } }
        const now = seqOf(seq)
        assert.ok(now >= (highest.get(node) ?? 0), 'seq shrank')
        highest.set(node, now)
      }
      store.fate = () => 'done'
      for (const one of [...nodes, ...nodes]) await one.follow()
      const [first, ...others] = await Promise.all(nodes.map(({ keychain }) => keychain.get(KEY)))
      for (const other of others) assert.deepEqual(other, first)
      for (const { state } of nodes) assert.notEqual(state().standing, 'forked')
    }),
    { numRuns: 150 },
  )
})
