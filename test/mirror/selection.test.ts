import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { namedIn, needsWatch, selects } from '../../src/mirror/selection.ts'
import { namedNamespaces, targetsIn } from '../../src/mirror/targets.ts'
import { entryOf } from './rig.ts'

const entry = (parts: object) => entryOf({ registries: ['a.example'], ...parts })

test('a star stands for any text, wherever it stands and however many there are', () => {
  const letter = fc.constantFrom('a', 'b', '-')
  const name = fc.array(letter, { maxLength: 8 }).map((letters) => letters.join(''))
  const pattern = fc
    .array(fc.oneof(letter, fc.constant('*')), { minLength: 1, maxLength: 8 })
    .map((all) => all.join(''))
  fc.assert(
    fc.property(pattern, name, (text, namespace) => {
      const oracle = new RegExp(`^${text.replaceAll('*', '.*')}$`).test(namespace)
      assert.equal(selects(entry({ namespaces: [text] }), namespace, {}), oracle)
    }),
    { numRuns: 2_000 },
  )
})

test('a pattern of many stars is decided quickly', () => {
  const began = performance.now()
  assert.ok(!selects(entry({ namespaces: [`${'a*'.repeat(30)}b`] }), 'a'.repeat(63), {}))
  assert.ok(performance.now() - began < 100)
})

for (const [what, parts, namespace, labels, expected] of [
  ['a name', { namespaces: ['a'] }, 'a', {}, true],
  ['an exception beats a name', { namespaces: ['a'], exceptNamespaces: ['a*'] }, 'a', {}, false],
  ['kube-system by a pattern', { namespaces: ['*'] }, 'kube-system', {}, false],
  ['kube-system by its name', { namespaces: ['kube-system'] }, 'kube-system', {}, true],
  [
    'kube-system by a selector',
    { namespaceSelector: { matchLabels: {}, matchExpressions: [] } },
    'kube-system',
    {},
    false,
  ],
  ['an empty selector', { namespaceSelector: { matchLabels: {}, matchExpressions: [] } }, 'a', {}, true],
  ['a label', { namespaceSelector: { matchLabels: { a: 'b' }, matchExpressions: [] } }, 'x', { a: 'b' }, true],
  ['another value', { namespaceSelector: { matchLabels: { a: 'b' }, matchExpressions: [] } }, 'x', { a: 'c' }, false],
  [
    'a label of every object',
    { namespaceSelector: { matchLabels: { toString: 'b' }, matchExpressions: [] } },
    'x',
    {},
    false,
  ],
  [
    'a name without the label',
    { namespaces: ['x'], namespaceSelector: { matchLabels: { a: 'b' }, matchExpressions: [] } },
    'x',
    {},
    false,
  ],
  [
    'the label without the name',
    { namespaces: ['y*'], namespaceSelector: { matchLabels: { a: 'b' }, matchExpressions: [] } },
    'x',
    { a: 'b' },
    false,
  ],
] as const) {
  test(`a namespace is ${expected ? '' : 'not '}selected: ${what}`, () => {
    assert.equal(selects(entry(parts), namespace, labels), expected)
  })
}

for (const [operator, values, present, other, absent] of [
  ['In', ['b'], true, false, false],
  ['NotIn', ['b'], false, true, true],
  ['Exists', [], true, true, false],
  ['DoesNotExist', [], false, false, true],
] as const) {
  test(`${operator} means what it means in Kubernetes`, () => {
    const one = entry({
      namespaceSelector: { matchLabels: {}, matchExpressions: [{ key: 'a', operator, values: [...values] }] },
    })
    const met = [{ a: 'b' }, { a: 'c' }, {}].map((labels) => selects(one, 'x', labels as Record<string, string>))
    assert.deepEqual(met, [present, other, absent])
  })
}

test('only names in full can be mirrored without a look at the namespaces', () => {
  assert.ok(!needsWatch(entry({ namespaces: ['a', 'b'] })))
  assert.ok(needsWatch(entry({ namespaces: ['a', 'b*'] })))
  assert.ok(needsWatch(entry({ namespaceSelector: { matchLabels: {}, matchExpressions: [] } })))
  assert.deepEqual(namedIn(entry({ namespaces: ['a', 'b*', 'c'], exceptNamespaces: ['c'] })), ['a'])
  assert.deepEqual(namedNamespaces([entry({ namespaces: ['a', 'b'] }), entry({ namespaces: ['b', 'c*'] })]), ['a', 'b'])
})

test('mirrors that meet in one Secret are put together, each ServiceAccount and registry once', () => {
  const mirrors = [
    entry({ registries: ['b.example', 'index.docker.io'], namespaces: ['a*'], serviceAccounts: ['default'] }),
    entry({
      registries: ['b.example', 'c.example'],
      namespaces: ['*b'],
      serviceAccounts: ['builder', 'default'],
      adopt: true,
    }),
    entry({ registries: ['d.example'], namespaces: ['ab'], secretName: 'other' }),
  ]
  assert.deepEqual(targetsIn(mirrors, 'ab', {}), [
    {
      namespace: 'ab',
      secretName: 'regcred',
      registries: ['b.example', 'c.example', 'docker.io'],
      serviceAccounts: ['builder', 'default'],
      adopt: true,
    },
    { namespace: 'ab', secretName: 'other', registries: ['d.example'], serviceAccounts: [], adopt: false },
  ])
  assert.deepEqual(
    targetsIn(mirrors, 'ab', undefined).map(({ secretName }) => secretName),
    ['other'],
  )
  assert.deepEqual(targetsIn(mirrors, 'x', {}), [])
})
