import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import type { RotationRecord } from '../../src/keychain/credential.ts'
import { graceLeftMs, LEAST_AFTER_RESTART_MS } from '../../src/rotation/grace.ts'
import type { HookInput, MirrorResult } from '../../src/rotation/ports.ts'
import { Secret } from '../../src/secret.ts'
import { admin, type Bench, createBench, ended, KEY, login, newPassword } from './kit.ts'

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

async function committed(bench: Bench): Promise<string> {
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.password = 'new'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  return id
}

async function turns(count = 60): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await setImmediate()
}

async function pass(bench: Bench, durationMs: number): Promise<void> {
  for (let left = durationMs; left > 0; left -= HOUR_MS) {
    bench.time.pass(Math.min(left, HOUR_MS))
    await turns()
  }
}

const stateOf = async (bench: Bench, id: string) => (await bench.rotations.get(id)).state
const previousOf = async (bench: Bench) => (await bench.keychain.get(KEY))?.previous

test('PREVIOUS is kept for its grace, and then deleted', async () => {
  const bench = createBench()
  const id = await committed(bench)
  await pass(bench, 23 * HOUR_MS)
  assert.deepEqual([await stateOf(bench, id), await previousOf(bench)], ['GRACE', 'v1'])
  await pass(bench, HOUR_MS)
  assert.deepEqual([await stateOf(bench, id), await previousOf(bench)], ['RETIRED', undefined])
  const stored = await bench.keychain.get(KEY)
  assert.deepEqual(
    stored?.versions.map(({ id }) => id),
    ['v2'],
  )
  assert.equal(bench.acts.at(-1)?.action, 'rotation.retire')
  assert.ok(
    bench.time.rested.every((durationMs) => durationMs >= 60_000),
    'nobody is woken up every moment',
  )
})

for (const [way, byMs] of [
  ['ahead', YEAR_MS],
  ['back', -YEAR_MS],
] as const) {
  test(`a clock that is put ${way} by a year in a running process changes nothing about the grace`, async () => {
    const bench = createBench()
    const id = await committed(bench)
    bench.time.setClock(byMs)
    await pass(bench, 23 * HOUR_MS)
    assert.equal(await stateOf(bench, id), 'GRACE')
    await pass(bench, HOUR_MS)
    assert.equal(await stateOf(bench, id), 'RETIRED')
  })

  test(`a clock that is put ${way} by a year in the middle of a deadline changes nothing about the deadline`, async () => {
    const bench = createBench()
    await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
    const beganMs = bench.time.monotonicMs()
    const { id } = await bench.rotations.start(KEY, newPassword('new', { deadlineSeconds: 600 }))
    bench.registry.onAsked = (count) => {
      if (count === 4) bench.time.setClock(byMs)
    }
    assert.equal((await ended(bench.rotations, id)).code, 'CREDENTIAL_REFUSED')
    assert.equal(bench.time.monotonicMs() - beganMs, 600_000)
  })

  test(`after a restart with a clock that is a year ${way === 'ahead' ? 'ahead' : 'behind'}, PREVIOUS is kept for ten minutes at least and one grace at most`, async () => {
    const bench = createBench()
    const id = await committed(bench)
    await bench.rotations.close()
    const later = createBench({ keychain: bench.keychain, journal: bench.parts.journal })
    later.time.setClock(byMs)
    await later.rotations.resume()
    await turns()
    later.time.pass(LEAST_AFTER_RESTART_MS - 1)
    await turns()
    assert.equal(await stateOf(later, id), 'GRACE')
    later.time.pass(1)
    await turns()
    assert.equal(await stateOf(later, id), way === 'ahead' ? 'RETIRED' : 'GRACE')
    await pass(later, 24 * HOUR_MS)
    assert.equal(await stateOf(later, id), 'RETIRED')
  })
}

test('whatever the clock says, what is left of a grace lies between nothing and the whole of it', () => {
  const time = fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true })
  fc.assert(
    fc.property(time, time, fc.nat(7_776_000), (endedAt, now, graceSeconds) => {
      const graceEndsAt = new Date(endedAt.getTime() + graceSeconds * 1_000).toISOString()
      const record = { endedAt: endedAt.toISOString(), graceEndsAt, startedAt: '' } as RotationRecord
      const leftMs = graceLeftMs(record, now, { isResumed: true })
      assert.ok(leftMs >= Math.min(graceSeconds * 1_000, LEAST_AFTER_RESTART_MS) && leftMs <= graceSeconds * 1_000)
      assert.equal(graceLeftMs(record, now, { isResumed: false }), graceSeconds * 1_000)
    }),
  )
})

test('no grace at all: PREVIOUS goes as soon as the mirror has run', async () => {
  const bench = createBench()
  bench.policy.graceSeconds = 0
  const id = await committed(bench).catch(() => undefined)
  await turns()
  const [newest] = await bench.rotations.list(KEY)
  assert.equal(newest?.state, 'RETIRED', String(id))
})

test('while another rotation is under way PREVIOUS stays; its commit takes its place and retires the earlier one', async () => {
  const bench = createBench()
  const first = await committed(bench)
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('newer'))
  await pass(bench, 25 * HOUR_MS)
  assert.deepEqual([await stateOf(bench, first), await previousOf(bench)], ['GRACE', 'v1'])
  await bench.rotations.close()
  const later = createBench({ keychain: bench.keychain, journal: bench.parts.journal })
  later.registry.password = 'newer'
  await later.rotations.resume()
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.deepEqual([await stateOf(later, first), await previousOf(later)], ['RETIRED', 'v2'])
})

test('PREVIOUS stays while a Secret could not be written, for pods there may still show it', async () => {
  const failed: MirrorResult = { namespace: 'a', secretName: 'regcred', outcome: 'failed', detail: 'away' }
  const bench = createBench()
  bench.results.push(failed)
  const id = await committed(bench)
  await pass(bench, 30 * HOUR_MS)
  assert.equal(await stateOf(bench, id), 'GRACE')
  bench.results.splice(0, 1, { ...failed, outcome: 'updated' })
  await pass(bench, 2 * HOUR_MS)
  assert.equal(await stateOf(bench, id), 'RETIRED')
  assert.equal((await bench.rotations.get(id)).partial, false)
})

test('a secret that the hook has made is ended at the registry before it is forgotten; until that works it is kept', async () => {
  const runs: HookInput[] = []
  let works = false
  const bench: Bench = createBench({
    runHook: async (_hook, input) => {
      runs.push(input)
      if (input.action === 'retire') {
        return works ? { outcome: 'done', made: undefined, note: 'ended' } : { outcome: 'retry', note: 'away' }
      }
      bench.registry.password = `made-${runs.length}`
      return { outcome: 'done', made: { secret: new Secret(bench.registry.password) }, note: 'made' }
    },
  })
  bench.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const ids: string[] = []
  for (let turn = 0; turn < 2; turn += 1) {
    const { id } = await bench.rotations.start(KEY, { ...newPassword(''), secret: undefined })
    assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
    ids.push(id)
  }
  assert.ok(
    runs.every(({ action }) => action === 'apply'),
    'what somebody logged in with is not ended',
  )
  await pass(bench, 25 * HOUR_MS)
  assert.equal(await stateOf(bench, ids[1] ?? ''), 'GRACE')
  works = true
  await pass(bench, 2 * HOUR_MS)
  assert.equal(await stateOf(bench, ids[1] ?? ''), 'RETIRED')
  const last = runs.at(-1)
  assert.deepEqual([last?.action, last?.madeBy, last?.oldSecret.reveal()], ['retire', ids[0], 'made-1'])
})
