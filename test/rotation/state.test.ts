import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_HOOK_RUNS, nextMove, type View } from '../../src/rotation/next-move.ts'
import { hasEnded, type RotationEvent, type RotationState, TRANSITIONS, transition } from '../../src/rotation/state.ts'
import { admin, type Bench, createBench, ended, KEY, login, newPassword } from './kit.ts'

const events: RotationEvent[] = ['stage', 'apply', 'verify', 'commit', 'mirror', 'keep', 'retire', 'abort', 'stick']

/** Every way through the table, from IDLE to where nothing follows. */
function waysFrom(state: RotationState | 'IDLE', way: (RotationState | 'IDLE')[] = []): (RotationState | 'IDLE')[][] {
  const here = [...way, state]
  const next = events.flatMap((event) => transition(state, event) ?? [])
  if (next.length === 0) return [here]
  return [...new Set(next)].flatMap((one) => waysFrom(one, here))
}

test('every way ends in RETIRED or ABORTED, and none comes back to where it was', () => {
  const ways = waysFrom('IDLE')
  for (const way of ways) {
    assert.ok(['RETIRED', 'ABORTED'].includes(way.at(-1) ?? ''), way.join())
    assert.equal(new Set(way).size, way.length)
  }
  assert.ok(ways.some((way) => way.join(' ') === 'IDLE STAGED APPLIED VERIFIED COMMITTED MIRRORED GRACE RETIRED'))
})

test('nothing is committed that was not verified, save what an operator resolves', () => {
  for (const way of waysFrom('IDLE')) {
    const at = way.indexOf('COMMITTED')
    if (at > 0) assert.ok(['VERIFIED', 'STUCK'].includes(way[at - 1] ?? ''), way.join())
  }
})

test('after the commit there is no abort', () => {
  for (const state of ['COMMITTED', 'MIRRORED', 'GRACE', 'RETIRED'] as const)
    assert.equal(transition(state, 'abort'), undefined)
})

test('where it is settled nothing follows but the end of the grace and an operator', () => {
  for (const [state, follows] of Object.entries(TRANSITIONS)) {
    if (state === 'IDLE' || !hasEnded({ state: state as RotationState })) continue
    assert.deepEqual(Object.keys(follows), { GRACE: ['retire'], STUCK: ['commit', 'abort'] }[state] ?? [])
  }
})

/** Starts a rotation at a registry that accepts only `accepted` from then on, or from the run of its hook on. */
type Rotate = (accepted: string, posted?: string) => Promise<string>

/** Each drives a rotation on and gives its id; the journal is whole, so every state that it passes is seen. */
const plays: [way: string, play: (bench: Bench, rotate: Rotate) => Promise<string>][] = [
  [
    'STAGED APPLIED VERIFIED COMMITTED MIRRORED GRACE RETIRED',
    async ({ rotations, registry }, rotate) => {
      const id = await rotate('new', 'new')
      registry.password = 'newer'
      await rotations.replaceCredential(KEY, login('newer'), 'required', admin)
      return id
    },
  ],
  [
    'STAGED APPLIED VERIFIED COMMITTED MIRRORED GRACE',
    async ({ rotations, registry }, rotate) => {
      const id = await rotate('new', 'new')
      registry.password = 'old'
      const back = await rotations.rollback(id, { deadlineSeconds: 60, actor: admin })
      return back.id
    },
  ],
  ['STAGED ABORTED', (_bench, rotate) => rotate('old', 'wrong')],
  ['STAGED APPLIED ABORTED', (_bench, rotate) => rotate('old')],
  ['STAGED APPLIED STUCK', (_bench, rotate) => rotate('a third one')],
  [
    'STAGED STUCK COMMITTED MIRRORED GRACE',
    async ({ rotations, registry }, rotate) => {
      const id = await rotate('a third one', 'new')
      registry.password = 'new'
      await rotations.resolve(id, 'v2', admin)
      return id
    },
  ],
  [
    'STAGED STUCK ABORTED',
    async ({ rotations }, rotate) => {
      const id = await rotate('a third one', 'new')
      await rotations.replaceCredential(KEY, login('a third one'), 'required', admin)
      return id
    },
  ],
]

for (const [way, play] of plays) {
  test(`a rotation that goes ${way.toLowerCase().replaceAll(' ', ', ')} takes no step that the table does not have`, async () => {
    let accepted = 'old'
    const bench: Bench = createBench({
      runHook: async () => {
        bench.registry.password = accepted
        return { outcome: 'done', made: undefined, note: 'done' }
      },
    })
    bench.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
    await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
    const id = await play(bench, async (password, posted) => {
      accepted = password
      if (posted !== undefined) bench.registry.password = password
      const request = newPassword(posted ?? '', { deadlineSeconds: 0 })
      const { id } = await bench.rotations.start(
        KEY,
        posted === undefined ? { ...request, secret: undefined } : request,
      )
      await ended(bench.rotations, id)
      return id
    })
    const { steps } = await ended(bench.rotations, id)
    const states = steps.map(({ state }) => state)
    assert.equal(states.join(' '), way)
    for (const [at, to] of states.entries()) {
      const from = states[at - 1] ?? 'IDLE'
      assert.ok(
        events.some((event) => transition(from, event) === to),
        `${from} to ${to}`,
      )
    }
  })
}

const said = fc.constantFrom('accepted', 'rejected', 'unreachable', 'unverifiable', undefined)
const view: fc.Arbitrary<View> = fc.record({
  hasHook: fc.boolean(),
  pending: said,
  current: said,
  previous: fc.oneof(said, fc.constant('absent' as const)),
  runs: fc.nat(5),
  last: fc.constantFrom('done', 'retry', 'refused', 'unknown', 'lost', undefined),
  isInFlight: fc.boolean(),
  isPastDeadline: fc.boolean(),
})

test('PENDING is committed if and only if it was accepted', () => {
  fc.assert(fc.property(view, (one) => assert.equal(nextMove(one).do === 'commit', one.pending === 'accepted')))
})

test('once a hook may have run, PENDING is dropped only where an older version was seen to work', () => {
  fc.assert(
    fc.property(view, (one) => {
      if (nextMove(one).do !== 'abort' || one.runs === 0) return
      assert.ok(
        one.current === 'accepted' || one.current === 'unverifiable' || one.previous === 'accepted',
        JSON.stringify(one),
      )
    }),
  )
})

test('it is stuck only where the registry refuses every version, after the deadline', () => {
  fc.assert(
    fc.property(view, (one) => {
      if (nextMove(one).do !== 'stick') return
      const refused = ['rejected', 'absent', 'unverifiable']
      assert.ok(one.isPastDeadline && one.pending === 'rejected' && one.current === 'rejected')
      assert.ok(refused.includes(String(one.previous)))
    }),
  )
})

test('a hook is not run again once it has done its work or refused, nor more often than three times', () => {
  fc.assert(
    fc.property(view, (one) => {
      if (nextMove(one).do !== 'run-hook') return
      assert.ok(one.hasHook && one.last !== 'done' && one.last !== 'refused' && one.runs < MAX_HOOK_RUNS)
      assert.equal(one.pending, 'rejected', 'what is refused alone needs a hook')
    }),
  )
})

test('a registry that does not answer decides nothing', () => {
  fc.assert(
    fc.property(view, (one) => {
      const silent = { ...one, pending: 'unreachable', current: 'unreachable' } as const
      assert.ok(['wait', 'ask'].includes(nextMove(silent).do), JSON.stringify(nextMove(silent)))
    }),
  )
})

test('no version is asked for twice in one try', () => {
  fc.assert(
    fc.property(view, (one) => {
      const move = nextMove(one)
      if (move.do === 'ask') assert.equal(one[move.version], undefined)
    }),
  )
})
