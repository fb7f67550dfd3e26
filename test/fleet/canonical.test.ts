import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { V1Secret } from '@kubernetes/client-node'
import fc from 'fast-check'
import { fromCanonical, toCanonical } from '../../src/fleet/canonical.ts'
import { isSameEntry } from '../../src/fleet/compare.ts'
import { nodeLeaseNameOf, secretNameOf } from '../../src/fleet/names.ts'
import { formatNote, parseNote } from '../../src/fleet/node-note.ts'
import { Secret } from '../../src/secret.ts'
import { sample } from '../keychain/sample.ts'

const KEY = 'registry.corp.example/team'
const NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/

test('a credential comes out of its Secret as it went in, whatever its password', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }), fc.nat(1_000_000), (password, seq) => {
      const wellFormed = Buffer.from(password).toString() === password
      fc.pre(wellFormed)
      const credential = { ...sample(KEY, password), seq }
      const read = fromCanonical(KEY, toCanonical(KEY, { credential }, 'regcredd-system'))
      assert.ok('entry' in read && isSameEntry(KEY, read.entry, { credential }))
    }),
  )
  const tombstone = { tombstone: { seq: 9, version: 4 } }
  assert.deepEqual(fromCanonical(KEY, toCanonical(KEY, tombstone, 'regcredd-system')), { entry: tombstone })
})

const good = (): V1Secret => toCanonical(KEY, { credential: sample(KEY, 'canary-4711') }, 'regcredd-system')
const data = (text: string | Buffer) => ({ credential: Buffer.from(text).toString('base64') })
const text = () => Buffer.from(good().data?.['credential'] ?? '', 'base64').toString()

const spoilt: Record<string, (secret: V1Secret) => void> = {
  'another type': (secret) => Object.assign(secret, { type: 'Opaque' }),
  'no label of ours': (secret) => Object.assign(secret.metadata ?? {}, { labels: {} }),
  'the key of another registry': (secret) =>
    Object.assign(secret.metadata ?? {}, { annotations: { 'regcredd.io/registry': 'other.example' } }),
  'no data': (secret) => Object.assign(secret, { data: undefined }),
  'a second field': (secret) => Object.assign(secret.data ?? {}, { other: '' }),
  'no base64': (secret) => Object.assign(secret, { data: { credential: '***' } }),
  'no UTF-8': (secret) => Object.assign(secret, { data: data(Buffer.from([0xff, 0xfe])) }),
  'no JSON': (secret) => Object.assign(secret, { data: data('canary-4711') }),
  'an unknown field': (secret) => Object.assign(secret, { data: data(text().replace('{', '{"more":1,')) }),
  'a newer schema': (secret) => Object.assign(secret, { data: data(text().replace('"schema":1', '"schema":2')) }),
  'a label that points nowhere': (secret) =>
    Object.assign(secret, { data: data(text().replace('"current":"v1"', '"current":"v9"')) }),
  'an item of another key': (secret) => Object.assign(secret, { data: data(text().replace(KEY, 'other.example')) }),
  'a seq after which no rotation could come': (secret) =>
    Object.assign(secret, { data: data(text().replace('"seq":1', `"seq":${Number.MAX_SAFE_INTEGER}`)) }),
  'half a megabyte': (secret) => Object.assign(secret, { data: data('x'.repeat(512 * 1024)) }),
  'a deletion under way': (secret) => Object.assign(secret.metadata ?? {}, { deletionTimestamp: new Date() }),
}

for (const [what, spoil] of Object.entries(spoilt)) {
  test(`a canonical Secret is refused, and nothing of it is shown: ${what}`, () => {
    const secret = good()
    spoil(secret)
    const read = fromCanonical(KEY, secret)
    assert.ok('garbled' in read)
    assert.doesNotMatch(JSON.stringify(read), /canary/)
  })
}

test('no text that somebody wrote there makes it throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (content) => {
      const secret = good()
      Object.assign(secret, { data: data(content) })
      assert.ok('garbled' in fromCanonical(KEY, secret))
    }),
  )
})

test('one that is too large to be read again is never written', () => {
  const credential = { ...sample(KEY), versions: [] }
  const versions = sample(KEY).versions.map((version) => ({ ...version, secret: new Secret('x'.repeat(300_000)) }))
  assert.throws(() => toCanonical(KEY, { credential: { ...credential, versions } }, 'regcredd-system'))
})

test('different keys have different names, all of them names of Kubernetes, and the docs tell how to find them', () => {
  const keys = [
    'a.example',
    'a-example',
    'a.example:5000',
    'a.example/5000',
    'a.example/team',
    '[2001:db8::1]:5000',
    'x'.repeat(300),
  ]
  for (const nameOf of [secretNameOf, nodeLeaseNameOf]) {
    assert.equal(new Set(keys.map(nameOf)).size, keys.length)
    for (const key of keys) assert.match(nameOf(key), NAME)
  }
  const hash = createHash('sha256').update('registry.corp.example').digest('hex').slice(0, 32)
  assert.equal(secretNameOf('registry.corp.example'), `regcredd-registry-corp-example-${hash}`)
})

test('what a node tells of itself is read again, and anything else is nobody', () => {
  const note = { node: 'a', adopted: new Map([[KEY, 4]]), mirrored: new Map([[KEY, { seq: 4, total: 3, failed: 1 }]]) }
  assert.deepEqual(parseNote(formatNote(note)), note)
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.oneof(fc.json(), fc.string()), (adopted, mirrored) => {
      const read = parseNote({
        'regcredd.io/node': 'a',
        'regcredd.io/adopted': adopted,
        'regcredd.io/mirrored': mirrored,
      })
      for (const seq of read?.adopted.values() ?? []) assert.ok(Number.isSafeInteger(seq) && seq >= 0)
    }),
  )
  assert.equal(parseNote({ 'regcredd.io/node': 'a', 'regcredd.io/adopted': '{"x":-1}' }), undefined)
  assert.equal(parseNote({ 'regcredd.io/adopted': '{}' }), undefined)
})
