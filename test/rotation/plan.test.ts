import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import type { Credential } from '../../src/keychain/credential.ts'
import {
  abort,
  activeRotation,
  adopt,
  commit,
  findRotation,
  remove,
  replace,
  resolve,
  retire,
  stage,
  stick,
} from '../../src/rotation/plan.ts'
import { Secret } from '../../src/secret.ts'
import { KEY } from './kit.ts'

const now = new Date('2026-03-01T12:00:00.000Z')

/** `aim`: which rotation is committed or aborted, counted from the newest; mostly the one that is under way. */
type Step = { do: (typeof ACTS)[number]; aim: number; password: string }

const ACTS = [
  'replace',
  'stage',
  'stage',
  'commit',
  'abort',
  'adopt',
  'stick',
  'stick',
  'resolve',
  'resolve',
  'retire',
] as const

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(...ACTS),
  aim: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(11)),
  password: fc.string({ minLength: 1, maxLength: 8 }),
})

function take(stored: Credential | undefined, { do: name, aim, password }: Step): Credential {
  const rotationId = stored?.rotations.at(-1 - aim)?.id ?? 'none'
  const secret = new Secret(password)
  if (name === 'replace') return replace(stored, KEY, { username: 'ci', secret, email: undefined }, now)
  if (name === 'commit') return commit(stored, rotationId, now)
  if (name === 'adopt') return adopt(stored, rotationId, { secret }, now)
  if (name === 'stick') return stick(stored, rotationId, 'NO_VERSION_WORKS', now)
  if (name === 'retire') return retire(stored, rotationId)
  if (name === 'resolve') {
    const versions = stored?.versions ?? []
    const version = versions[password.length % Math.max(1, versions.length)]?.id ?? 'v1'
    return resolve(stored, rotationId, version, now, 60)
  }
  if (name === 'abort') return abort(stored, rotationId, 'CREDENTIAL_REFUSED', now)
  return stageOf(stored, `r${stored?.seq}`, password)
}

function stageOf(stored: Credential | undefined, rotationId: string, password: string): Credential {
  return stage(stored, {
    rotationId,
    login: { username: undefined, secret: new Secret(password), email: undefined },
    deadline: now,
    idempotencyKey: undefined,
    bodyHash: undefined,
    now,
  })
}

/** Runs the steps, leaving out those that are refused with a code, and calls `check` with what was before and after each. */
function run(steps: Step[], check: (before: Credential | undefined, after: Credential, step: Step) => void): void {
  let stored: Credential | undefined
  for (const one of steps) {
    const before = stored
    try {
      stored = take(stored, one)
    } catch (thrown) {
      assert.ok(thrown instanceof RegcreddError, String(thrown))
      continue
    }
    check(before, stored, one)
  }
}

const steps = fc.array(step, { maxLength: 60, size: 'max' })

test('whatever happens, CURRENT points at a stored version and no label points into the void', () => {
  fc.assert(
    fc.property(steps, (all) =>
      run(all, (_before, after) => {
        const ids = after.versions.map((version) => version.id)
        assert.ok(after.current !== undefined && ids.includes(after.current))
        for (const label of [after.pending, after.previous]) assert.ok(label === undefined || ids.includes(label))
      }),
    ),
  )
})

test('whatever happens, seq grows by one with each change of the labels and never shrinks', () => {
  fc.assert(
    fc.property(steps, (all) =>
      run(all, (before, after) => {
        const labels = (one: Credential | undefined) => [one?.current, one?.pending, one?.previous].join()
        const grown = after.seq - (before?.seq ?? 0)
        assert.equal(grown, labels(before) === labels(after) ? 0 : 1)
      }),
    ),
  )
})

test('a version id is never used twice, though versions and old rotations are forgotten', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (all) => {
      const secretOf = new Map<string, Secret>()
      run(all, (_before, after) => {
        for (const { id, secret } of after.versions) {
          const known = secretOf.get(id)
          assert.ok(known === undefined || known === secret, `${id} names two secrets`)
          secretOf.set(id, secret)
        }
      })
    }),
  )
})

test('at most one rotation is under way, and PENDING is its version', () => {
  fc.assert(
    fc.property(steps, (all) =>
      run(all, (_before, after) => {
        const active = after.rotations.filter(({ state }) => state === 'STAGED' || state === 'STUCK')
        assert.ok(active.length <= 1)
        assert.equal(after.pending, active[0]?.version)
      }),
    ),
  )
})

test('an abort leaves CURRENT and PREVIOUS as they were', () => {
  fc.assert(
    fc.property(steps, (all) =>
      run(all, (before, after, { do: name }) => {
        if (name !== 'abort') return
        assert.equal(after.current, before?.current)
        assert.equal(after.previous, before?.previous)
        assert.equal(after.pending, after === before ? before.pending : undefined)
      }),
    ),
  )
})

test('only labelled versions are kept, and ten rotations', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (all) =>
      run(all, (_before, after) => {
        const labelled = new Set([after.current, after.pending, after.previous].filter((id) => id !== undefined))
        assert.equal(after.versions.length, labelled.size)
        assert.ok(after.rotations.length <= 10)
      }),
    ),
  )
})

test('no step changes what it was given', () => {
  fc.assert(
    fc.property(steps, (all) => {
      let stored: Credential | undefined
      for (const one of all) {
        const copy = JSON.stringify(stored)
        let next = stored
        try {
          next = take(stored, one)
        } catch {
          // A refusal must leave it alone as well.
        }
        assert.equal(JSON.stringify(stored), copy)
        stored = next
      }
    }),
  )
})

function loggedIn(): Credential {
  return replace(undefined, KEY, { username: 'ci', secret: new Secret('one'), email: 'ci@corp.example' }, now)
}

test('a commit makes PENDING current and the old CURRENT previous', () => {
  const staged = stageOf(loggedIn(), 'r', 'two')
  assert.deepEqual([staged.current, staged.pending, staged.previous, staged.seq], ['v1', 'v2', undefined, 2])
  const committed = commit(staged, 'r', now)
  assert.deepEqual(
    [committed.current, committed.pending, committed.previous, committed.seq],
    ['v2', undefined, 'v1', 3],
  )
  assert.equal(findRotation(committed, 'r')?.state, 'COMMITTED')
  assert.equal(activeRotation(committed), undefined)
})

test('PREVIOUS is kept while a rotation is staged or aborted, and replaced at the next commit', () => {
  const first = commit(stageOf(loggedIn(), 'r1', 'two'), 'r1', now)
  const aborted = abort(stageOf(first, 'r2', 'three'), 'r2', 'CREDENTIAL_REFUSED', now)
  assert.deepEqual([aborted.current, aborted.previous], ['v2', 'v1'])
  const second = commit(stageOf(aborted, 'r3', 'four'), 'r3', now)
  assert.deepEqual([second.current, second.previous], ['v4', 'v2'])
})

test('a commit done twice changes nothing', () => {
  const committed = commit(stageOf(loggedIn(), 'r', 'two'), 'r', now)
  assert.equal(commit(committed, 'r', now), committed)
})

test('an abort done twice changes nothing', () => {
  const aborted = abort(stageOf(loggedIn(), 'r', 'two'), 'r', 'CREDENTIAL_REFUSED', now)
  assert.equal(abort(aborted, 'r', 'UPSTREAM_UNREACHABLE', now), aborted)
  assert.equal(findRotation(aborted, 'r')?.code, 'CREDENTIAL_REFUSED')
})

test('what has ended one way cannot end the other way', () => {
  const staged = stageOf(loggedIn(), 'r', 'two')
  assert.throws(() => abort(commit(staged, 'r', now), 'r', 'ROTATION_ABORTED', now), { code: 'ROTATION_SETTLED' })
  const aborted = abort(staged, 'r', 'ROTATION_ABORTED', now)
  assert.throws(() => commit(aborted, 'r', now), { code: 'ROTATION_SETTLED' })
})

test('a staged version takes username and email from CURRENT where it has none of its own', () => {
  const [, version] = stageOf(loggedIn(), 'r', 'two').versions
  assert.deepEqual([version?.username, version?.email], ['ci', 'ci@corp.example'])
})

test('while a rotation is under way there is no other, no login and no removal', () => {
  const staged = stageOf(loggedIn(), 'r', 'two')
  const active = { code: 'ROTATION_ACTIVE', detail: 'rotation r' }
  assert.throws(() => stageOf(staged, 'r2', 'three'), active)
  assert.throws(() => replace(staged, KEY, { username: 'ci', secret: new Secret('x'), email: undefined }, now), active)
  assert.throws(() => remove(staged), active)
})

test('without a credential there is nothing to rotate, commit or remove', () => {
  assert.throws(() => stageOf(undefined, 'r', 'two'), { code: 'CREDENTIAL_NOT_FOUND' })
  assert.throws(() => remove(undefined), { code: 'CREDENTIAL_NOT_FOUND' })
  assert.throws(() => commit(undefined, 'r', now), { code: 'ROTATION_NOT_FOUND' })
  assert.throws(() => abort(loggedIn(), 'r', 'ROTATION_ABORTED', now), { code: 'ROTATION_NOT_FOUND' })
})

test('the random steps above do commit, abort and replace, so that they prove something', () => {
  const seen = new Map<string, number>()
  const sample = fc.sample(steps, { numRuns: 200, seed: 1 })
  for (const all of sample) run(all, (_before, _after, { do: name }) => seen.set(name, (seen.get(name) ?? 0) + 1))
  for (const name of ACTS) assert.ok((seen.get(name) ?? 0) > 20, `${name}: ${seen.get(name)}`)
})
