import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseStrictJson } from '../../src/admin/strict-json.ts'

const parse = (text: string) => parseStrictJson(Buffer.from(text))
const malformed = { code: 'BODY_MALFORMED' }

test('whatever JSON.stringify writes is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(4), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      assert.deepEqual(parse(text), JSON.parse(text))
    }),
  )
})

test('a key that stands twice is found at any depth, behind any text and however it is escaped', () => {
  const escaped = (key: string) =>
    [...Array(key.length).keys()].map((at) => `\\u${key.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), fc.nat(6), fc.boolean(), (key, value, depth, isEscaped) => {
      const first = JSON.stringify(key)
      const second = isEscaped ? `"${escaped(key)}"` : first
      let text = `{${first} : ${JSON.stringify(value)}, ${second}:1}`
      for (let level = 0; level < depth; level += 1) text = level % 2 === 0 ? `[0,${text}]` : `{"x":${text}}`
      assert.throws(() => parse(text), {
        code: 'BODY_MALFORMED',
        detail: /^line 1, column \d+: this key stands here twice$/,
      })
    }),
  )
})

test('equal keys in different objects, and equal texts that are no keys, are no duplicates', () => {
  for (const text of [
    '{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    '["a","a"]',
    '{"a":"a","b":"{\\"b\\":1,"}',
    '{"a":"x\\":"}',
  ])
    assert.deepEqual(parse(text), JSON.parse(text))
})

test('what is not JSON is refused without a word of it', () => {
  for (const text of [
    '',
    '{',
    'hunter2',
    '{"password":"hunter2"',
    "{'password':'hunter2'}",
    '{"a":1}hunter2',
    '\ufeff{}',
  ]) {
    assert.throws(
      () => parse(text),
      (thrown: Error) => {
        assert.ok(!`${thrown.stack}${thrown.cause}`.includes('hunter2'))
        return 'code' in thrown && thrown.code === 'BODY_MALFORMED'
      },
    )
  }
})

test('bytes that are not UTF-8 are refused, not replaced', () => {
  assert.throws(() => parseStrictJson(Buffer.from([0x22, 0xff, 0x22])), malformed)
  assert.throws(() => parseStrictJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])), malformed)
})

test('random bytes are read as JSON.parse reads them or refused, and take no time', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseStrictJson(bytes)
      } catch (thrown) {
        assert.ok(thrown instanceof Error && 'code' in thrown && thrown.code === 'BODY_MALFORMED')
      }
    }),
  )
})

test('64 KiB of brackets are refused, of escapes or of one long text read, without trouble', () => {
  const many = 30_000
  assert.throws(() => parse('['.repeat(2 * many)), malformed)
  assert.throws(() => parse(`${'['.repeat(many)}${']'.repeat(many)}`), malformed)
  assert.equal(parse(`"${'\\\\'.repeat(many)}"`), '\\'.repeat(many))
  assert.equal(parse(`"${'a'.repeat(2 * many)}"`), 'a'.repeat(2 * many))
})
