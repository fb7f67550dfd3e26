import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createElection } from '../../src/fleet/election.ts'
import { LEADER_LEASE } from '../../src/fleet/names.ts'
import { createSteadyMs } from '../../src/fleet/steady.ts'
import { createFakeLeases } from './fake-leases.ts'
import { createSimulation } from './simulation.ts'

const LEASE_SECONDS = 15
const HOUR_MS = 3_600_000

function createRig() {
  const simulation = createSimulation()
  const leases = createFakeLeases(simulation.nowMs)
  const ending: AbortController[] = []
  const running: Promise<void>[] = []
  return {
    simulation,
    leases,
    join(node: string, options: { skewMs?: number; random?: () => number; stands?: boolean } = {}) {
      const clock = simulation.clockOf(options)
      const changes: boolean[] = []
      const end = new AbortController()
      const election = createElection({
        leases: leases.api,
        node,
        identity: `${node}/${ending.length}`,
        leaseSeconds: LEASE_SECONDS,
        stands: options.stands ?? true,
        time: clock.time,
        onChange: (leads) => changes.push(leads),
      })
      const run = election.run(end.signal)
      ending.push(end)
      running.push(run)
      return {
        ...election,
        ...clock,
        changes,
        /** As a process that is killed: it gives nothing back. */
        kill() {
          clock.stop()
        },
        async leave() {
          end.abort()
          await run
        },
      }
    },
    async close() {
      for (const one of ending) one.abort()
    },
  }
}

test('one node leads, and another only after the first has been silent for the whole lease', async (t) => {
  const { simulation, join, close } = createRig()
  t.after(close)
  const a = join('a')
  await simulation.pass(1_000)
  const b = join('b')
  await simulation.pass(60_000)
  assert.deepEqual([a.mayWrite(), b.mayWrite(), b.leader()], [true, false, 'a'])
  a.kill()
  const killedAtMs = simulation.nowMs()
  let tookOverMs = 0
  await simulation.pass(60_000, () => {
    if (tookOverMs === 0 && b.mayWrite()) tookOverMs = simulation.nowMs() - killedAtMs
  })
  assert.ok(tookOverMs >= LEASE_SECONDS * 1_000 - 4_000 && tookOverMs <= 2 * LEASE_SECONDS * 1_000, String(tookOverMs))
  assert.equal(b.leader(), 'b')
})

test('a leader that was stopped and wakes after another took over may not write, at its very first look', async (t) => {
  const { simulation, join, close } = createRig()
  t.after(close)
  const a = join('a')
  await simulation.pass(1_000)
  const b = join('b')
  await simulation.pass(1_000)
  a.stop()
  await simulation.pass(60_000)
  assert.equal(b.mayWrite(), true)
  // Nothing of it has run yet but this question.
  assert.equal(a.mayWrite(), false)
  a.goOn()
  await simulation.pass(10_000)
  assert.deepEqual([a.mayWrite(), b.mayWrite(), a.leader()], [false, true, 'b'])
  assert.deepEqual(a.changes, [true, false])
})

test('a node whose time of day is an hour ahead takes nothing from the leader, and one an hour behind loses nothing', async (t) => {
  for (const skewMs of [HOUR_MS, -HOUR_MS]) {
    const { simulation, join, close } = createRig()
    t.after(close)
    const a = join('a', { skewMs: -skewMs })
    await simulation.pass(1_000)
    const b = join('b', { skewMs })
    await simulation.pass(300_000, () => assert.equal(a.mayWrite() && !b.mayWrite(), true))
  }
})

test('a node that leaves gives the lease back, so that another leads at once', async (t) => {
  const { simulation, join, close } = createRig()
  t.after(close)
  const a = join('a')
  await simulation.pass(1_000)
  const b = join('b')
  await simulation.pass(1_000)
  await a.leave()
  assert.equal(a.mayWrite(), false)
  await simulation.pass(8_000)
  assert.equal(b.mayWrite(), true)
})

test('a node that is not to write knows who does, and never leads', async (t) => {
  const { simulation, join, close } = createRig()
  t.after(close)
  const b = join('b', { stands: false })
  await simulation.pass(60_000)
  assert.deepEqual([b.mayWrite(), b.leader()], [false, undefined])
  join('a')
  await simulation.pass(15_000)
  assert.deepEqual([b.mayWrite(), b.leader()], [false, 'a'])
  await simulation.pass(60_000, () => assert.equal(b.leader(), 'a'))
})

test('a leader that cannot reach the API stops before any other may begin', async (t) => {
  const { simulation, leases, join, close } = createRig()
  t.after(close)
  const a = join('a')
  await simulation.pass(20_000)
  leases.fate = () => 'unreachable'
  await simulation.pass(LEASE_SECONDS * 750)
  assert.equal(a.mayWrite(), false)
  assert.match(a.fault()?.detail ?? '', /unreachable/)
  leases.fate = () => 'done'
  await simulation.pass(10_000)
  assert.equal(a.mayWrite(), true)
})

test('a Lease that somebody spoilt keeps nobody out for ever', async (t) => {
  const { simulation, leases, join, close } = createRig()
  t.after(close)
  leases.put(LEADER_LEASE, {
    name: LEADER_LEASE,
    uid: 'x',
    resourceVersion: '0',
    holder: 'nobody that is there',
    durationSeconds: 3_600,
    transitions: 7,
    acquiredAt: undefined,
    annotations: {},
    writtenAt: undefined,
  })
  const a = join('a')
  await simulation.pass(3_590_000, undefined, 10_000)
  assert.equal(a.mayWrite(), false)
  await simulation.pass(40_000, undefined, 1_000)
  assert.equal(a.mayWrite(), true)
})

test('whatever stops, wakes, fails and however wrong the clocks: never two that may write', async () => {
  const event = fc.record({
    node: fc.nat(2),
    what: fc.constantFrom('stop', 'goOn', 'cut', 'mend', 'wait'),
    waitMs: fc.integer({ min: 100, max: 30_000 }),
  })
  const skews = fc.array(fc.integer({ min: -HOUR_MS, max: HOUR_MS }), { minLength: 3, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(skews, fc.array(event, { maxLength: 20 }), fc.integer(), async (skewsMs, events, seed) => {
      const { simulation, leases, join, close } = createRig()
      let state = seed >>> 0
      const random = () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
        return state / 2 ** 32
      }
      const nodes = ['a', 'b', 'c'].map((name, index) => join(name, { skewMs: skewsMs[index] ?? 0, random }))
      const check = () => assert.ok(nodes.filter(({ mayWrite }) => mayWrite()).length <= 1, 'two may write')
      for (const { node, what, waitMs } of events) {
        if (what === 'stop') nodes[node]?.stop()
        if (what === 'goOn') nodes[node]?.goOn()
        if (what === 'cut') leases.fate = (call) => (call === 'write' && random() < 0.7 ? 'unreachable' : 'done')
        if (what === 'mend') leases.fate = () => 'done'
        await simulation.pass(waitMs, check, 250)
      }
      for (const node of nodes) node.goOn()
      leases.fate = () => 'done'
      await simulation.pass(90_000, check, 250)
      assert.equal(nodes.filter(({ mayWrite }) => mayWrite()).length, 1, 'nobody leads')
      await close()
    }),
    { numRuns: 40 },
  )
})

test('the clock that leases are measured by goes on while a machine sleeps', () => {
  let [fine, coarse] = [1_000, 500_000]
  const steadyMs = createSteadyMs({ fine: () => fine, coarse: () => coarse })
  fine += 10
  assert.equal(steadyMs(), 10)
  coarse += 60_000
  assert.equal(steadyMs(), 60_000)
})
