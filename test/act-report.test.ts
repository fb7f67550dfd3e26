import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createActReport } from '../src/act-report.ts'
import type { Act } from '../src/rotation/acts.ts'

const committed: Act = {
  phase: 'outcome',
  id: 'a-1',
  actor: { via: 'daemon', name: undefined },
  action: 'rotation.commit',
  target: 'registry.corp.example',
  outcome: 'ok',
  detail: { rotation: 'r-1' },
}

/** What was done, in order. */
function report({ isFull = false } = {}) {
  const done: string[] = []
  const onAct = createActReport({
    record: ({ type }) => {
      if (isFull) throw new Error('the disk is full')
      done.push(type)
    },
    forget: (registry) => done.push(`forget ${registry}`),
    metrics: { rotationEnded: ({ registry, state }) => done.push(`${registry} ${state}`) },
  })
  return { done, onAct }
}

test('an outcome is recorded after the old tokens are forgotten, and counted where a rotation ended', () => {
  const { done, onAct } = report()
  onAct({ ...committed, phase: 'intent', outcome: undefined })
  onAct(committed)
  onAct({ ...committed, action: 'rotation.abort' })
  onAct({ ...committed, action: 'rotation.abort', outcome: 'ROTATION_SETTLED' })
  const forget = 'forget registry.corp.example'
  assert.deepEqual(done, [
    'admin.intent',
    ...[forget, 'admin.outcome', 'registry.corp.example COMMITTED'],
    ...[forget, 'admin.outcome', 'registry.corp.example ABORTED'],
    ...[forget, 'admin.outcome'],
  ])
})

test('what could not be recorded forgets the old tokens all the same, and counts nothing: it comes again', () => {
  const { done, onAct } = report({ isFull: true })
  assert.throws(() => onAct(committed), /full/)
  assert.deepEqual(done, ['forget registry.corp.example'])
})
