import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from './eventually.ts'

function standStill(forMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs)
}

test('what has come true while the machine stood still is seen, however long that was', async () => {
  let asked = 0
  const answer = await eventually(
    'it is asked a second time',
    () => {
      asked += 1
      if (asked === 1) standStill(50)
      return asked === 2 && 'here'
    },
    10,
  )
  assert.equal(answer, 'here')
})

test('what does not come true is named', async () => {
  await assert.rejects(
    eventually('the moon is blue', () => undefined, 10),
    { message: 'not within 10 ms: the moon is blue' },
  )
})
