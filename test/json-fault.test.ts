import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findJsonFault } from '../src/json-fault.ts'

const faults: [text: string, line: number, column: number, message: RegExp, hint?: string][] = [
  ['', 1, 1, /ends too early/],
  ['{\n  "a": hunter2\n}', 2, 8, /value is expected/],
  ['{"a": 1,\n}', 2, 1, /double quotes/, 'remove the comma before it'],
  ['[1, 2,]', 1, 7, /value is expected/, 'remove the comma before it'],
  ['{\n// why\n"a": 1}', 2, 1, /double quotes/, 'JSON has no comments'],
  ["{'a': 1}", 1, 2, /double quotes/, 'JSON strings stand in double quotes'],
  ['{"a" 1}', 1, 6, /":" is expected/],
  ['{"a": 1 "b": 2}', 1, 9, /"," or "}" is expected/],
  ['{"a": "b', 1, 9, /does not end/],
  ['{"a": "b\nc"}', 1, 9, /does not end/],
  ['"\\x"', 1, 2, /no escape/],
  ['{} {}', 1, 4, /goes on/],
  ['{"a": 1,\n "b": {"c": 1, "\\u0063": 2}}', 2, 16, /twice/],
  ['\ufeff{}', 1, 1, /value is expected/, 'save the file without a byte order mark'],
  ['['.repeat(100_000), 1, 66, /nested deeper/],
]

for (const [text, line, column, message, hint] of faults) {
  test(`the fault of ${JSON.stringify(text.slice(0, 30))} is found at line ${line}, column ${column}`, () => {
    const fault = findJsonFault(text)
    assert.deepEqual([fault?.line, fault?.column, fault?.hint], [line, column, hint])
    assert.match(fault?.message ?? '', message)
  })
}

test('a fault never shows a piece of the text', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (before, after) => {
      const fault = findJsonFault(`{"k${before.replaceAll('"', '')}": hunter2${after}`)
      assert.ok(fault !== undefined && !JSON.stringify(fault).includes('hunter2'))
    }),
  )
})

test('whatever JSON.stringify writes has no fault', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 2, '\t'), (value, space) => {
      assert.equal(findJsonFault(JSON.stringify(value, null, space)), undefined)
    }),
  )
})

test('a damaged text has a fault exactly where JSON.parse throws, except for keys that stand twice', () => {
  const damaged = fc.tuple(
    fc.json({ maxDepth: 3 }),
    fc.nat(),
    fc.constantFrom('', '"', ',', '}', '0', '\\', '\n', '-', 'e1'),
  )
  fc.assert(
    fc.property(damaged, ([json, seed, piece]) => {
      const at = seed % (json.length + 1)
      const text = json.slice(0, at) + piece + json.slice(at + 1)
      const fault = findJsonFault(text)
      if (fault?.message.includes('twice')) return
      assert.equal(fault !== undefined, !parses(text), text)
    }),
    { numRuns: 2_000 },
  )
})

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
