import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createReplica } from '../../src/fleet/replica.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import { eventually } from '../helpers/eventually.ts'
import { admin, createBench, ended, KEY, login, newPassword } from '../rotation/kit.ts'
import { passwordsIn, refusedWith } from './acts.ts'
import { createFakeStore } from './fake-store.ts'

const signal = new AbortController().signal
const HOUR_MS = 3_600_000

type Store = ReturnType<typeof createFakeStore>

/** Real rotations on a node of a fleet, whose cluster is one Secret in memory. */
function createNode(t: TestContext, store: Store, node: string, keychain = createMemoryKeychain()) {
  const others = { isLive: true, haveAdopted: true, asked: 0 }
  const replica = createReplica({
    key: KEY,
    node,
    store: store.api,
    keychain,
    sleep: async () => undefined,
    random: () => 0.5,
    onAdopted: (key) => bench.rotations.adopted(key),
    onStanding: () => {},
  })
  const bench = createBench({
    keychain: { ...keychain, update: (_key, change) => replica.update(change, signal) },
    fleet: {
      node,
      allAdopted: async () => {
        others.asked += 1
        return others.haveAdopted
      },
      isLive: async () => others.isLive,
      leads: () => true,
    },
  })
  // One that was killed never ends by itself.
  t.after(() => Promise.race([bench.rotations.close(), settled()]))
  return {
    ...bench,
    others,
    items: keychain,
    follow: () => replica.sync(signal),
    password: passwordsIn(keychain, KEY),
  }
}

async function loggedIn(t: TestContext) {
  const store = createFakeStore(KEY)
  const [a, b] = [createNode(t, store, 'a'), createNode(t, store, 'b')]
  await a.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  await b.follow()
  return { store, a, b }
}

const settled = async () => {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate()
}

test('a rotation is driven by the node that began it, and by no other that learns of it', async (t) => {
  const { store, a, b } = await loggedIn(t)
  a.registry.mood = 'hanging'
  const started = await a.rotations.start(KEY, newPassword('new', { deadlineSeconds: 60, idempotencyKey: 'one' }))
  await b.follow()
  b.registry.asked.length = 0
  b.rotations.adopted(KEY)
  await b.rotations.resume()
  // The same request on another node finds the same rotation, and does not drive it either.
  const again = await b.rotations.start(KEY, newPassword('new', { deadlineSeconds: 60, idempotencyKey: 'one' }))
  assert.equal(again.id, started.id)
  await settled()
  assert.deepEqual(b.registry.asked, [])
  await a.rotations.close()
  const restarted = createNode(t, store, 'a', a.items)
  restarted.registry.password = 'new'
  await restarted.rotations.resume()
  assert.match((await ended(restarted.rotations, started.id)).state, /COMMITTED|MIRRORED|GRACE/)
  await b.follow()
  assert.deepEqual([await b.password('current'), await b.password('previous')], ['new', 'old'])
})

test('nobody ends a rotation elsewhere than on the node that drives it, unless that is gone', async (t) => {
  const { a, b } = await loggedIn(t)
  const { id } = await a.rotations.start(KEY, newPassword('new'))
  await b.follow()
  await assert.rejects(b.rotations.abort(id, admin), refusedWith('ROTATION_ELSEWHERE'))
  b.others.isLive = false
  await b.rotations.abort(id, admin)
  assert.equal(await b.password('pending'), undefined)
  await a.follow()
  assert.equal((await ended(a.rotations, id)).state, 'ABORTED')
})

test('a rotation that was published while its answer got lost is driven by its node when it learns of it', async (t) => {
  const { store, a } = await loggedIn(t)
  let isAway = false
  store.fate = (call) => {
    if (call === 'replace') isAway = true
    return call === 'replace' ? 'lost' : isAway ? 'unreachable' : 'done'
  }
  await assert.rejects(a.rotations.start(KEY, newPassword('new')), refusedWith('FLEET_UNAVAILABLE'))
  store.fate = () => 'done'
  a.registry.password = 'new'
  await a.follow()
  await eventually('it goes on', async () => (await a.password('current')) === 'new')
})

for (const point of ['start', 'commit'] as const) {
  test(`an API server that is away at the ${point} of a rotation holds it up there, and loses nothing`, async (t) => {
    const { store, a } = await loggedIn(t)
    if (point === 'start') {
      store.fate = () => 'unreachable'
      await assert.rejects(a.rotations.start(KEY, newPassword('new')), refusedWith('FLEET_UNAVAILABLE'))
      assert.deepEqual(await a.rotations.list(KEY), [])
      assert.equal(await a.password('current'), 'old')
      store.fate = () => 'done'
    }
    const { id } = await a.rotations.start(KEY, newPassword('new'))
    if (point === 'commit') {
      store.fate = () => 'silent'
      a.registry.password = 'new'
      await eventually('the commit is held up', () => a.faults.length > 0)
      assert.match(String(a.faults[0]), /FLEET|fleet/)
      assert.deepEqual([await a.password('current'), await a.password('pending')], ['old', 'new'])
      store.fate = () => 'done'
    }
    a.registry.password = 'new'
    assert.match((await ended(a.rotations, id)).state, /COMMITTED|MIRRORED|GRACE/)
    assert.equal(await a.password('current'), 'new')
  })
}

test('a node that is killed before or after any call of a rotation ends it after its restart, and every node holds what the registry takes', async (t) => {
  let isReached = true
  let kills = 0
  for (let call = 0; isReached; call += 1) {
    for (const fate of ['never', 'after'] as const) {
      const { store, a, b } = await loggedIn(t)
      a.registry.password = 'new'
      let count = 0
      isReached = false
      store.fate = () => {
        count += 1
        if (count <= call) return 'done'
        isReached = true
        return fate
      }
      const begun = a.rotations.start(KEY, newPassword('new')).then(
        () => true,
        () => false,
      )
      await Promise.race([begun, settled()])
      await settled()
      // Nothing of the old process goes on: its calls never come back.
      store.fate = () => 'done'
      kills += isReached ? 1 : 0
      const restarted = createNode(t, store, 'a', a.items)
      restarted.registry.password = 'new'
      const seqBefore = (await restarted.items.get(KEY))?.seq ?? 0
      await restarted.rotations.resume()
      await restarted.follow()
      await settled()
      const list = await restarted.rotations.list(KEY)
      for (const { id } of list) await ended(restarted.rotations, id)
      if (list.length === 0) {
        const { id } = await restarted.rotations.start(KEY, newPassword('new'))
        await ended(restarted.rotations, id)
      }
      await b.follow()
      const where = `call ${call}, ${fate}`
      assert.deepEqual([await restarted.password('current'), await b.password('current')], ['new', 'new'], where)
      assert.ok(((await restarted.items.get(KEY))?.seq ?? 0) >= seqBefore, where)
      assert.equal((await restarted.rotations.list(KEY)).length, 1, where)
    }
  }
  assert.ok(kills >= 8, `${kills} kills`)
})

test('PREVIOUS waits at the end of its grace for a live node that has not taken over, but not for ever', async (t) => {
  const { a } = await loggedIn(t)
  a.policy.graceSeconds = 7_200
  a.registry.password = 'new'
  const { id } = await a.rotations.start(KEY, newPassword('new'))
  await ended(a.rotations, id)
  a.others.haveAdopted = false
  const pass = async (durationMs: number, stepMs = 60_000) => {
    for (let passedMs = 0; passedMs < durationMs; passedMs += stepMs) {
      a.time.pass(stepMs)
      await settled()
    }
  }
  await pass(2 * HOUR_MS)
  assert.equal(await a.password('previous'), 'old')
  await pass(HOUR_MS)
  assert.equal(await a.password('previous'), 'old')
  assert.ok(a.others.asked > 10)
  assert.match((await a.rotations.get(id)).note ?? '', /some node has not taken over/)
  await pass(1.1 * HOUR_MS)
  assert.equal(await a.password('previous'), undefined)
})

test('PREVIOUS goes at the end of its grace when all live nodes have taken over', async (t) => {
  const { a } = await loggedIn(t)
  a.policy.graceSeconds = 600
  a.registry.password = 'new'
  const { id } = await a.rotations.start(KEY, newPassword('new'))
  await ended(a.rotations, id)
  a.time.pass(600_000)
  await eventually('it is gone', async () => (await a.password('previous')) === undefined)
})

test('what a schedule begins is begun by the node that leads alone', async (t) => {
  const keychain = createMemoryKeychain()
  let leads = false
  let hooks = 0
  const bench = createBench({
    keychain,
    scheduled: [KEY],
    fleet: { node: 'a', allAdopted: async () => true, isLive: async () => true, leads: () => leads },
    runHook: async () => {
      hooks += 1
      return { outcome: 'refused', note: 'no' }
    },
  })
  t.after(() => bench.rotations.close())
  bench.policy.hook = { command: ['/bin/true'], timeoutMs: 1_000 }
  bench.policy.rotateEverySeconds = 86_400
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  await bench.rotations.resume()
  for (let hour = 0; hour < 48; hour += 1) {
    bench.time.pass(HOUR_MS)
    await settled()
  }
  assert.equal(hooks, 0)
  leads = true
  for (let hour = 0; hour < 3; hour += 1) {
    bench.time.pass(HOUR_MS)
    await settled()
  }
  await eventually('it is begun', () => hooks > 0)
})
