import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  CREDENTIALS_ANNOTATION,
  claimOn,
  formatOwner,
  isSurelyOurs,
  OWNER,
  OWNER_ANNOTATION,
  OWNER_LABEL,
  SERVICE_ACCOUNTS_ANNOTATION,
} from '../../src/mirror/ownership.ts'
import { type Found, plan as planFor, type Step, type Wanted, type Writing } from '../../src/mirror/plan.ts'
import { readWanted } from '../../src/mirror/wanted.ts'
import { Secret } from '../../src/secret.ts'
import { credentialOf, formsOf } from './credentials.ts'

const HOLDER = { owner: { name: 'node-1', cluster: 'uid-of-kube-system' }, adopt: false, serviceAccounts: [] }
const plan = (wanted: Wanted, found: Found | undefined, holder = {}) => planFor(wanted, found, { ...HOLDER, ...holder })

const TYPE = 'kubernetes.io/dockerconfigjson'

async function wantedOf(...logins: [key: string, parts: Parameters<typeof credentialOf>[1] | undefined][]) {
  const stored = new Map(logins)
  return readWanted([...stored.keys()], async (key) => {
    const parts = stored.get(key)
    return parts === undefined ? undefined : credentialOf(key, parts)
  })
}

/** The Secret after a step, as the API server would keep it. */
function after(step: Step, before?: Found): Found {
  assert.ok(step.do === 'create' || step.do === 'update', `not written: ${step.do}, ${step.detail}`)
  return foundOf(step.writing, before)
}

function foundOf(writing: Writing, before?: Found): Found {
  return {
    uid: before?.uid ?? 'uid-1',
    resourceVersion: String(Number(before?.resourceVersion ?? '0') + 1),
    type: TYPE,
    immutable: false,
    terminating: false,
    labels: { ...before?.labels, [OWNER_LABEL]: OWNER },
    annotations: { ...before?.annotations, ...writing.annotations },
    content: writing.content,
  }
}

const made = (wanted: Wanted): Found => after(plan(wanted, undefined))

test('a Secret that is not there is created', async () => {
  const step = plan(await wantedOf(['a.example', { password: 'one' }]), undefined)
  assert.equal(step.do, 'create')
})

test('a Secret that holds what is wanted is not written', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  assert.deepEqual(plan(wanted, made(wanted)), { do: 'unchanged', detail: undefined })
})

test('a new version is written into the very Secret that was read', async () => {
  const found = made(await wantedOf(['a.example', { password: 'one', seq: 1 }]))
  const step = plan(await wantedOf(['a.example', { password: 'two', seq: 2 }]), found)
  assert.ok(step.do === 'update')
  assert.deepEqual([step.uid, step.resourceVersion, step.detail], ['uid-1', '1', undefined])
})

test('a rotation that is only staged moves seq and writes nothing', async () => {
  const found = made(await wantedOf(['a.example', { password: 'one', seq: 1, version: 1 }]))
  assert.equal(plan(await wantedOf(['a.example', { password: 'one', seq: 2, version: 1 }]), found).do, 'unchanged')
})

test('drift, the same version with other content, is repaired and told', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const step = plan(wanted, { ...made(wanted), content: new Secret('{"auths":{}}') })
  assert.equal(step.do, 'update')
  assert.match(step.detail ?? '', /^drift/)
  assert.equal(plan(wanted, { ...made(wanted), content: undefined }).do, 'update')
})

test('a later version than ours is never overwritten', async () => {
  const found = made(await wantedOf(['a.example', { password: 'two', seq: 2 }]))
  const step = plan(await wantedOf(['a.example', { password: 'one', seq: 1 }]), found)
  assert.equal(step.do, 'refuse')
  assert.match(step.detail ?? '', /seq 2.*seq 1.*regcredd\.io\/credentials=\{\}/)
})

test('a credential that was deleted and stored anew is written although its seq begins again', async () => {
  const found = made(await wantedOf(['a.example', { password: 'old', seq: 9, version: 2 }]))
  assert.equal(plan(await wantedOf(['a.example', { password: 'new', seq: 1, version: 3 }]), found).do, 'update')
})

for (const [signs, labels, annotations] of [
  ['no signs', {}, {}],
  ['the label only', { [OWNER_LABEL]: OWNER }, {}],
  ['the annotation only', {}, { [CREDENTIALS_ANNOTATION]: '{}' }],
  ["another owner's label", { [OWNER_LABEL]: 'Helm' }, { [CREDENTIALS_ANNOTATION]: '{}' }],
] as const) {
  test(`a Secret with ${signs} is foreign, even where nothing could be written`, async () => {
    const wanted = await wantedOf(['a.example', { password: 'one' }])
    assert.equal(plan(wanted, { ...made(wanted), labels, annotations }).do, 'foreign')
    assert.equal(plan(await wantedOf(['a.example', undefined]), { ...made(wanted), labels, annotations }).do, 'foreign')
  })
}

test('a Secret of another regcredd in the same cluster is left alone, and not even adopted', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const theirs = made(wanted)
  const annotations = { ...theirs.annotations, [OWNER_ANNOTATION]: 'node-2@uid-of-kube-system' }
  for (const adopt of [false, true]) {
    const step = plan(wanted, { ...theirs, annotations }, { adopt })
    assert.equal(step.do, 'foreign')
    assert.match(step.detail ?? '', /another regcredd.*remove annotation regcredd\.io\/owner/)
  }
})

test('a Secret that was copied from another cluster is foreign although it carries our name, until it is adopted', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one', seq: 1 }])
  const later = made(await wantedOf(['a.example', { password: 'far', seq: 9 }]))
  const copied = { ...later, annotations: { ...later.annotations, [OWNER_ANNOTATION]: 'node-1@uid-far' } }
  assert.match(plan(wanted, copied).detail ?? '', /copied from another cluster/)
  const adopted = plan(wanted, copied, { adopt: true })
  assert.ok(adopted.do === 'update', 'versions of another cluster count for nothing here')
  assert.equal(adopted.writing.annotations[OWNER_ANNOTATION], formatOwner(HOLDER.owner))
})

test('an adopted Secret is written in place, and what it held goes', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const theirs = { ...made(wanted), labels: {}, annotations: {}, content: new Secret('{"auths":{"a.example":{}}}') }
  assert.equal(plan(wanted, theirs).do, 'foreign')
  const step = plan(wanted, theirs, { adopt: true })
  assert.ok(step.do === 'update')
  assert.deepEqual([step.uid, step.resourceVersion, step.drift], ['uid-1', '1', false])
  assert.match(step.detail ?? '', /^adopted/)
  assert.deepEqual(serversOf(after(step, theirs)), ['a.example'])
})

test('a Secret that holds other registries is not adopted, since they would be lost', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }], ['b.example', undefined])
  const content = new Secret('{"auths":{"a.example":{},"b.example":{},"other.example":{}}}')
  const step = plan(wanted, { ...made(wanted), labels: {}, annotations: {}, content }, { adopt: true })
  assert.equal(step.do, 'foreign')
  assert.match(step.detail ?? '', /an entry for a registry that this mirror does not have/)
  assert.ok(!step.detail?.includes('other.example'))
})

test('a Secret of another type is never adopted', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const step = plan(wanted, { ...made(wanted), labels: {}, annotations: {}, type: 'Opaque' }, { adopt: true })
  assert.match(step.detail ?? '', /choose another secretName/)
  assert.equal(step.do, 'foreign')
})

test('a Secret of ours from before owners were written down is signed at the next look', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const found = made(wanted)
  const annotations = { [CREDENTIALS_ANNOTATION]: found.annotations[CREDENTIALS_ANNOTATION] ?? '' }
  const step = plan(wanted, { ...found, annotations })
  assert.ok(step.do === 'update' && !step.drift)
  assert.equal(plan(wanted, after(step)).do, 'unchanged')
})

test('the ServiceAccounts that name a Secret are written down in it', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const serviceAccounts = ['default', 'builder', 'default']
  const step = plan(wanted, made(wanted), { serviceAccounts })
  assert.ok(step.do === 'update')
  assert.equal(step.writing.annotations[SERVICE_ACCOUNTS_ANNOTATION], '["builder","default"]')
  assert.equal(plan(wanted, after(step), { serviceAccounts }).do, 'unchanged')
})

test('whatever stands in the owner annotation, only our very own name and cluster make a Secret surely ours', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.constantFrom('node-1', 'node-1@', '@uid-of-kube-system')), (text) => {
      const labels = { [OWNER_LABEL]: OWNER }
      const annotations = { [CREDENTIALS_ANNOTATION]: '{}', [OWNER_ANNOTATION]: text }
      assert.equal(isSurelyOurs(labels, annotations, HOLDER.owner), text === 'node-1@uid-of-kube-system')
      assert.ok(!isSurelyOurs(labels, annotations, { ...HOLDER.owner, cluster: undefined }))
      assert.ok(!isSurelyOurs({}, annotations, HOLDER.owner))
    }),
  )
  assert.equal(claimOn({}, {}, HOLDER.owner), 'none')
})

test('a Secret that is handed over by label and empty annotation is taken in place', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const step = plan(wanted, { ...made(wanted), annotations: { [CREDENTIALS_ANNOTATION]: '{}' }, uid: 'uid-7' })
  assert.ok(step.do === 'update')
  assert.deepEqual([step.uid, step.detail], ['uid-7', undefined])
})

test('what cannot be written is refused with a remedy', async () => {
  const older = made(await wantedOf(['a.example', { password: 'one', seq: 1 }]))
  const wanted = await wantedOf(['a.example', { password: 'two', seq: 2 }])
  for (const [change, remedy] of [
    [{ type: 'Opaque' }, /choose another secretName/],
    [{ immutable: true }, /immutable.*delete it/],
    [{ terminating: true }, /once it is gone/],
  ] as const) {
    const step = plan(wanted, { ...older, ...change })
    assert.equal(step.do, 'refuse')
    assert.match(step.detail ?? '', remedy)
  }
})

test('an immutable Secret that holds what is wanted is unchanged', async () => {
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  assert.equal(plan(wanted, { ...made(wanted), immutable: true }).do, 'unchanged')
})

test('a keychain without any of the credentials writes nothing', async () => {
  const found = made(await wantedOf(['a.example', { password: 'one' }]))
  const none = await wantedOf(['a.example', undefined])
  assert.equal(plan(none, undefined).do, 'refuse')
  assert.equal(plan(none, found).do, 'refuse')
})

test('a credential that is missing from the start is left out, and that is told', async () => {
  const step = plan(await wantedOf(['a.example', { password: 'one' }], ['b.example', undefined]), undefined)
  assert.equal(step.do, 'create')
  assert.match(step.detail ?? '', /without b\.example/)
  assert.deepEqual(serversOf(after(step)), ['a.example'])
})

test('a credential that went missing keeps its entry while the others are rotated', async () => {
  const both = made(await wantedOf(['a.example', { password: 'one' }], ['b.example', { password: 'good' }]))
  const wanted = await wantedOf(['a.example', { password: 'two', seq: 2 }], ['b.example', undefined])
  const step = plan(wanted, both)
  assert.match(step.detail ?? '', /entry of b\.example was kept/)
  const written = after(step, both)
  assert.deepEqual(serversOf(written), ['a.example', 'b.example'])
  assert.equal(plan(wanted, written).do, 'unchanged')
})

test('a registry that was taken out of the configuration leaves the Secret', async () => {
  const both = made(await wantedOf(['a.example', { password: 'one' }], ['b.example', { password: 'good' }]))
  const wanted = await wantedOf(['a.example', { password: 'one' }])
  const step = plan(wanted, both)
  assert.equal(step.detail, undefined)
  assert.deepEqual(serversOf(after(step, both)), ['a.example'])
})

function serversOf(found: Found): string[] {
  return Object.keys(JSON.parse(found.content?.reveal() ?? '{}').auths)
}

// Properties, over any keychain and any Secret.

const KEYS = ['a.example', 'b.example/team', 'docker.io']
const password = fc.string({ unit: 'binary', minLength: 8, maxLength: 20 }).map((text) => `canary-${text}`)
const parts = fc.record({
  password,
  seq: fc.integer({ min: 1, max: 4 }),
  version: fc.integer({ min: 1, max: 4 }),
})
const keychain = fc.uniqueArray(fc.tuple(fc.constantFrom(...KEYS), fc.option(parts, { nil: undefined })), {
  minLength: 1,
  selector: ([key]) => key,
})
const annotation = fc.oneof(
  fc.constant(undefined),
  fc.constant('{}'),
  fc.json(),
  fc.string(),
  fc
    .dictionary(
      fc.constantFrom(...KEYS),
      fc.record({
        seq: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.double()),
        version: fc.constantFrom('v1', 'v2', 'v3'),
        createdAt: fc.constantFrom('2026-01-01T00:00:00.000Z', '2026-01-03T00:00:00.000Z', 'yesterday'),
      }),
    )
    .map((marks) => JSON.stringify(marks)),
)
const anyFound: fc.Arbitrary<Found> = fc.record({
  uid: fc.constant('uid-1'),
  resourceVersion: fc.constant('41'),
  type: fc.constantFrom(TYPE, TYPE, TYPE, 'Opaque'),
  immutable: fc.boolean(),
  terminating: fc.boolean(),
  labels: fc.constantFrom({}, { [OWNER_LABEL]: OWNER }, { [OWNER_LABEL]: 'Helm' }),
  annotations: annotation.map((text) => (text === undefined ? {} : { [CREDENTIALS_ANNOTATION]: text })),
  content: fc.option(
    fc.oneof(fc.string(), fc.json()).map((text) => new Secret(text)),
    { nil: undefined },
  ),
})

test('only a Secret with both of our signs, of our type, neither immutable nor going away, is ever updated', async () => {
  await fc.assert(
    fc.asyncProperty(keychain, anyFound, async (logins, found) => {
      const step = plan(await wantedOf(...logins), found)
      assert.notEqual(step.do, 'create')
      if (step.do !== 'update') return
      assert.equal(found.labels[OWNER_LABEL], OWNER)
      assert.notEqual(found.annotations[CREDENTIALS_ANNOTATION], undefined)
      assert.equal(found.type, TYPE)
      assert.ok(!found.immutable && !found.terminating)
    }),
  )
})

test('one write is enough: afterwards the same wish changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(keychain, fc.option(anyFound, { nil: undefined }), async (logins, found) => {
      const wanted = await wantedOf(...logins)
      const step = plan(wanted, found)
      if (step.do !== 'create' && step.do !== 'update') return
      assert.equal(plan(wanted, after(step, found)).do, 'unchanged')
    }),
  )
})

test('of two nodes with the same credential, whichever writes last, the Secret ends with the later version', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), async (older, gap) => {
      const old = await wantedOf(['a.example', { password: 'old', seq: older }])
      const late = await wantedOf(['a.example', { password: 'late', seq: older + gap }])
      assert.equal(plan(old, after(plan(late, made(old)), made(old))).do, 'refuse')
      assert.equal(plan(late, made(late)).do, 'unchanged')
    }),
  )
})

test('no detail and no annotation holds a password in any form', async () => {
  await fc.assert(
    fc.asyncProperty(keychain, fc.option(anyFound, { nil: undefined }), async (logins, found) => {
      const step = plan(await wantedOf(...logins), found)
      const text = JSON.stringify(step)
      for (const [, stored] of logins) {
        for (const form of stored === undefined ? [] : formsOf(stored.password)) {
          assert.ok(!text.includes(JSON.stringify(form).slice(1, -1)), `${form} stands in ${text}`)
        }
      }
    }),
  )
})
