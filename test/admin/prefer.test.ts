import assert from 'node:assert/strict'
import { test } from 'node:test'
import { preferredWaitSeconds } from '../../src/admin/prefer.ts'

test('the preference "wait" is found in all the forms of RFC 7240', () => {
  const cases: [string | undefined, number | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['wait=30', 30],
    ['WAIT = "30"', 30],
    ['respond-async, wait=10', 10],
    ['respond-async; foo=bar, wait=10; x=y, handling=lenient', 10],
    ['wait=5, wait=9', 5],
    ['wait=0', 0],
    ['wait=601', 600],
    ['wait=999999999', 600],
  ]
  for (const [header, seconds] of cases) assert.equal(preferredWaitSeconds(header), seconds, String(header))
})

test('what is not a number of seconds is no preference', () => {
  for (const header of [
    'wait',
    'wait=',
    'wait=-1',
    'wait=1.5',
    'wait=abc',
    'wait=1e3',
    'await=3',
    'wait="3',
    'wait=3x',
  ]) {
    assert.equal(preferredWaitSeconds(header), undefined, header)
  }
})
