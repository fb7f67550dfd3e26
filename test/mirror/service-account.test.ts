import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ADDED_ANNOTATION } from '../../src/mirror/ownership.ts'
import { type AccountStep, type FoundAccount, planAdd, planRemove } from '../../src/mirror/service-account.ts'

const name = fc.constantFrom('regcred', 'a', 'b', 'c')
const foundAccount: fc.Arbitrary<FoundAccount> = fc.record({
  uid: fc.constant('uid-1'),
  resourceVersion: fc.constant('1'),
  terminating: fc.constant(false),
  annotations: fc.oneof(
    fc.constant({}),
    fc.uniqueArray(name).map((names) => ({ [ADDED_ANNOTATION]: JSON.stringify(names) })),
    fc.oneof(fc.string(), fc.json()).map((text) => ({ [ADDED_ANNOTATION]: text })),
  ),
  pullSecrets: fc.uniqueArray(name),
})

function after(step: AccountStep, before: FoundAccount): FoundAccount {
  if (step.do !== 'patch' && step.do !== 'create') return before
  const { pullSecrets, added } = step.writing
  return { ...before, pullSecrets, annotations: added === null ? {} : { [ADDED_ANNOTATION]: added } }
}

test('adding keeps every other pull secret in its place, and is done once', () => {
  fc.assert(
    fc.property(foundAccount, (found) => {
      const added = after(planAdd('default', 'regcred', found), found)
      assert.ok(added.pullSecrets.includes('regcred'))
      assert.deepEqual(
        added.pullSecrets.filter((one) => one !== 'regcred'),
        found.pullSecrets.filter((one) => one !== 'regcred'),
      )
      assert.equal(planAdd('default', 'regcred', added).do, 'unchanged')
    }),
  )
})

test('removing after adding gives back what was there, also where the name was there before', () => {
  fc.assert(
    fc.property(foundAccount, (found) => {
      fc.pre(!(found.annotations[ADDED_ANNOTATION] ?? '').includes('regcred'))
      const added = after(planAdd('default', 'regcred', found), found)
      assert.deepEqual(after(planRemove('regcred', added), added).pullSecrets, found.pullSecrets)
    }),
  )
})

test('removing takes away only what stands in our annotation, and nothing of others', () => {
  fc.assert(
    fc.property(foundAccount, (found) => {
      const step = planRemove('regcred', found)
      if (step.do === 'unchanged') return
      assert.ok(step.do === 'patch')
      assert.ok((found.annotations[ADDED_ANNOTATION] ?? '').includes('regcred'))
      assert.deepEqual(
        step.writing.pullSecrets,
        found.pullSecrets.filter((one) => one !== 'regcred'),
      )
      assert.deepEqual([step.uid, step.resourceVersion], ['uid-1', '1'])
    }),
  )
})

test('only `default` is made, others are waited for, and one that goes away is left alone', () => {
  const step = planAdd('default', 'regcred', undefined)
  assert.deepEqual(step, { do: 'create', writing: { pullSecrets: ['regcred'], added: '["regcred"]' } })
  assert.equal(planAdd('builder', 'regcred', undefined).do, 'wait')
  const going = { uid: 'u', resourceVersion: '1', terminating: true, annotations: {}, pullSecrets: [] }
  assert.equal(planAdd('default', 'regcred', going).do, 'wait')
  assert.equal(planRemove('regcred', { ...going, annotations: { [ADDED_ANNOTATION]: '["regcred"]' } }).do, 'unchanged')
})
