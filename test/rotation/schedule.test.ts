import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_TRIES, retryDelayMs } from '../../src/rotation/schedule.ts'

const DAY_MS = 86_400_000

test('a rotation with a deadline of a day asks the registry at most a hundred times, whatever chance says', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (chances) => {
      let tries = 1
      for (let elapsedMs = 0; elapsedMs < DAY_MS; tries += 1) {
        const random = chances.next().value ?? 0
        elapsedMs += Math.min(retryDelayMs(tries, elapsedMs, random), DAY_MS - elapsedMs)
      }
      assert.ok(tries <= MAX_TRIES, `${tries} tries`)
    }),
  )
})

test('even with the shortest delays of all a day takes at most a hundred tries', () => {
  let tries = 1
  for (let elapsedMs = 0; elapsedMs < DAY_MS; tries += 1) elapsedMs += retryDelayMs(tries, elapsedMs, 0)
  assert.ok(tries <= MAX_TRIES, `${tries} tries`)
})

test('the first delays are 2 s growing to 15 s', () => {
  const delays = [1, 2, 3, 4, 5, 6, 7].map((tries) => retryDelayMs(tries, 0, 0.5))
  assert.deepEqual(delays, [2_000, 3_000, 4_500, 6_750, 10_125, 15_000, 15_000])
})

test('a delay is never longer than the plateau or a good eighth of the time that has passed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      fc.nat(DAY_MS),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (...all) => {
        const [tries, elapsedMs, random] = all
        const delayMs = retryDelayMs(tries, elapsedMs, random)
        assert.ok(delayMs >= 1_800 && delayMs <= Math.max(16_500, elapsedMs * 0.1376))
      },
    ),
  )
})

test('a clock that was set back does not make the delay negative', () => {
  assert.equal(retryDelayMs(1, -DAY_MS, 0.5), 2_000)
})
