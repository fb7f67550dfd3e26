import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import type { Credential } from '../../src/keychain/credential.ts'
import { attentionOf, describeAttention } from '../../src/rotation/attention.ts'
import { replace } from '../../src/rotation/plan.ts'
import { untilDueMs } from '../../src/rotation/rotate-every.ts'
import { Secret } from '../../src/secret.ts'
import { admin, type Bench, createBench, ended, KEY, login, newPassword } from './kit.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const now = new Date('2026-03-01T12:00:00.000Z')

function stored(more: { expiresAt?: string } = {}): Credential {
  return replace(undefined, KEY, { username: 'ci', secret: new Secret('old'), email: undefined, ...more }, now)
}

async function pass(bench: Bench, durationMs: number): Promise<void> {
  for (let left = durationMs; left > 0; left -= HOUR_MS) {
    bench.time.pass(Math.min(left, HOUR_MS))
    for (let turn = 0; turn < 40; turn += 1) await setImmediate()
  }
}

async function scheduled(works: () => boolean) {
  let runs = 0
  const bench: Bench = createBench({
    scheduled: [KEY],
    runHook: async (_hook, input) => {
      if (input.action === 'retire') return { outcome: 'done', made: undefined, note: 'done' }
      runs += 1
      if (!works()) return { outcome: 'refused', note: 'no' }
      bench.registry.password = input.newSecret.reveal()
      return { outcome: 'done', made: undefined, note: 'done' }
    },
  })
  Object.assign(bench.policy, { hook: { command: ['/hook'], timeoutMs: 1_000 }, rotateEverySeconds: 30 * 86_400 })
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  await bench.rotations.resume()
  return { bench, runs: () => runs }
}

test('a password is generated anew at its age, less up to a tenth, again and again, by the daemon itself', async () => {
  const { bench, runs } = await scheduled(() => true)
  await pass(bench, 27 * DAY_MS)
  assert.equal(runs(), 0)
  await pass(bench, 2 * DAY_MS)
  assert.equal(runs(), 1)
  await pass(bench, 30 * DAY_MS)
  assert.equal(runs(), 2)
  const begun = bench.acts.find(({ action }) => action === 'rotation.start')
  assert.equal(begun?.actor.via, 'daemon')
})

for (const [way, byMs] of [
  ['ahead', 365 * DAY_MS],
  ['back', -365 * DAY_MS],
] as const) {
  test(`a clock that is put ${way} by a year in a running process does not move the schedule`, async () => {
    const { bench, runs } = await scheduled(() => true)
    await pass(bench, DAY_MS)
    bench.time.setClock(byMs)
    await pass(bench, 26 * DAY_MS)
    assert.equal(runs(), 0)
    await pass(bench, 2 * DAY_MS)
    assert.equal(runs(), 1)
  })
}

test('a rotation of the schedule that is aborted is tried again, no sooner than six hours later', async () => {
  let works = false
  const { bench, runs } = await scheduled(() => works)
  await pass(bench, 29 * DAY_MS)
  const before = runs()
  assert.ok(before >= 1 && before <= 5, `${before} runs`)
  works = true
  await pass(bench, 7 * HOUR_MS)
  assert.equal((await bench.rotations.list(KEY))[0]?.state, 'GRACE')
})

test('a schedule lies between now and one turn, whatever the clock says', () => {
  const time = fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true })
  fc.assert(
    fc.property(
      time,
      fc.integer({ min: 3_600, max: 1e7 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (at, every, random) => {
        const leftMs = untilDueMs(stored(), every, at, random) ?? -1
        assert.ok(leftMs >= 0 && leftMs <= every * 1_000)
      },
    ),
  )
})

test('without a credential, and while a rotation is under way, nothing is due', async () => {
  assert.equal(untilDueMs(undefined, 3_600, now, 0.5), undefined)
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.mood = 'hanging'
  await bench.rotations.start(KEY, newPassword('new'))
  assert.equal(untilDueMs(await bench.keychain.get(KEY), 3_600, now, 0.5), undefined)
  await bench.rotations.close()
})

test('the end of a password is warned of before it comes, and told when it has come', () => {
  const policy = { warnBeforeSeconds: 14 * 86_400 }
  const expiresAt = new Date(now.getTime() + 20 * DAY_MS).toISOString()
  const at = (days: number) => attentionOf(stored({ expiresAt }), policy, new Date(now.getTime() + days * DAY_MS))
  assert.deepEqual(at(5), [])
  assert.deepEqual(at(7), [{ kind: 'expires', registry: KEY, version: 'v1', expiresAt }])
  assert.deepEqual(at(20), [{ kind: 'expired', registry: KEY, version: 'v1', expiresAt }])
  assert.deepEqual(attentionOf(stored(), policy, new Date('2100-01-01')), [], 'an end that nobody knows')
  assert.match(describeAttention(at(20)[0] ?? assert.fail()), /\(v1\) has ended at 2026-03-21/)
})

test('the end that was told at a rotation is that of its version', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(
    KEY,
    { ...login('old'), expiresAt: '2026-03-05T00:00:00.000Z' },
    'required',
    admin,
  )
  bench.registry.password = 'new'
  const { id } = await bench.rotations.start(KEY, newPassword('new', { expiresAt: '2027-03-05T00:00:00.000Z' }))
  await ended(bench.rotations, id)
  const found = await bench.keychain.get(KEY)
  assert.deepEqual(
    found?.versions.map(({ id, expiresAt }) => [id, expiresAt]),
    [
      ['v1', '2026-03-05T00:00:00.000Z'],
      ['v2', '2027-03-05T00:00:00.000Z'],
    ],
  )
})

test('a rotation that is stuck asks for somebody', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.password = 'a third one'
  const { id } = await bench.rotations.start(KEY, newPassword('new', { deadlineSeconds: 0 }))
  await ended(bench.rotations, id)
  const found = await bench.keychain.get(KEY)
  const [one] = found === undefined ? [] : attentionOf(found, bench.policy, now)
  assert.partialDeepStrictEqual(one, { kind: 'stuck', registry: KEY, rotation: id, code: 'NO_VERSION_WORKS' })
})
