import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKubernetesCallers } from '../../src/admin/kubernetes-callers.ts'
import { createScriptedReviews, userOf } from './kubernetes-kit.ts'

const ACCESS = { verb: 'get', resource: 'status', name: undefined } as const

function setting() {
  const clock = { nowMs: 0 }
  const cluster = createScriptedReviews()
  cluster.state.known.set('good', userOf('deploy'))
  const callers = createKubernetesCallers(cluster.reviews, () => clock.nowMs)
  const codeOf = (act: Promise<unknown>) =>
    act.then(
      () => 'ok',
      (thrown: { code: string }) => thrown.code,
    )
  return { clock, callers, ...cluster, codeOf }
}

test('a token that the cluster knows is asked about once in ten seconds', async () => {
  const { callers, clock, asked, state, codeOf } = setting()
  assert.deepEqual(await callers.check('good'), userOf('deploy'))
  clock.nowMs = 9_999
  assert.deepEqual(await callers.check('good'), userOf('deploy'))
  assert.equal(asked.length, 1)
  state.known.clear()
  clock.nowMs = 10_000
  assert.equal(await codeOf(callers.check('good')), 'TOKEN_REFUSED')
  assert.equal(asked.length, 2)
})

test('what is kept of one token is never taken for another, however alike they are', async () => {
  const { callers, state, codeOf } = setting()
  const long = `${'x'.repeat(4_000)}`
  state.known.set(`${long}a`, userOf('a'))
  state.known.set(`${long}b`, userOf('b'))
  assert.equal((await callers.check(`${long}a`)).name, userOf('a').name)
  assert.equal((await callers.check(`${long}b`)).name, userOf('b').name)
  assert.equal(await codeOf(callers.check(`${long}c`)), 'TOKEN_REFUSED')
  assert.equal(callers.isKnown(`${long}a`), true)
  assert.equal(callers.isKnown(long), false)
})

test('a refusal is kept for a second, so that a token that becomes good is good at once', async () => {
  const { callers, clock, asked, state, codeOf } = setting()
  assert.equal(await codeOf(callers.check('late')), 'TOKEN_REFUSED')
  state.known.set('late', userOf('late'))
  clock.nowMs = 999
  assert.equal(await codeOf(callers.check('late')), 'TOKEN_REFUSED')
  assert.equal(asked.length, 1)
  clock.nowMs = 1_000
  assert.equal(await codeOf(callers.check('late')), 'ok')
})

test('a hundred requests with one token at one time are one question', async () => {
  const { callers, asked } = setting()
  const users = await Promise.all(Array.from({ length: 100 }, () => callers.check('good')))
  assert.equal(asked.length, 1)
  assert.ok(users.every(({ name }) => name === userOf('deploy').name))
})

test('no more than sixteen tokens are asked about at one time, and strangers do not hold up who is known', async () => {
  const { callers, asked, state, codeOf } = setting()
  const user = await callers.check('good')
  const gate = Promise.withResolvers<void>()
  state.gate = gate.promise
  const strangers = Array.from({ length: 16 }, (_, index) => codeOf(callers.check(`stranger-${index}`)))
  assert.equal(await codeOf(callers.check('one more')), 'KUBERNETES_AUTH_UNAVAILABLE')
  assert.equal(asked.length, 17)
  const demanded = codeOf(callers.demand(user, ACCESS))
  gate.resolve()
  assert.equal(await demanded, 'ok')
  assert.deepEqual(new Set(await Promise.all(strangers)), new Set(['TOKEN_REFUSED']))
  assert.equal(await codeOf(callers.check('one more')), 'TOKEN_REFUSED')
})

test('what strangers send pushes out nobody who is known, and of those the oldest go', async () => {
  const { callers, state, asked, codeOf } = setting()
  await callers.check('good')
  for (let count = 0; count < 2_000; count += 1) await codeOf(callers.check(`junk-${count}`))
  assert.equal(callers.isKnown('good'), true)
  for (let count = 0; count < 1_024; count += 1) {
    state.known.set(`more-${count}`, userOf('more'))
    await callers.check(`more-${count}`)
  }
  assert.equal(callers.isKnown('good'), false)
  assert.equal(callers.isKnown('more-0'), true)
  assert.equal(asked.length, 1 + 2_000 + 1_024)
})

test('a cluster that does not answer refuses nobody for longer than that', async () => {
  const { callers, state, codeOf } = setting()
  state.isAway = true
  assert.equal(await codeOf(callers.check('good')), 'KUBERNETES_AUTH_UNAVAILABLE')
  state.isAway = false
  assert.equal(await codeOf(callers.check('good')), 'ok')
})

test('rights are asked for each time, and what is missing is told with its registry', async () => {
  const { callers, state, accesses } = setting()
  const user = await callers.check('good')
  await callers.demand(user, ACCESS)
  await callers.demand(user, ACCESS)
  assert.equal(accesses.length, 2)
  state.allows = () => false
  await assert.rejects(callers.demand(user, { verb: 'create', resource: 'rotations', name: 'a.example/team' }), {
    code: 'KUBERNETES_ACCESS_DENIED',
    detail: 'it needs the verb create for rotations.regcredd.io "a.example/team"',
  })
})
