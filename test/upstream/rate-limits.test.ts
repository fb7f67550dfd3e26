import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRateLimits, rateLimitNumber, retryAfterMs } from '../../src/upstream/rate-limits.ts'

const NOW = Date.parse('2026-05-01T12:00:00Z')
const waits: [header: string | undefined, waitMs: number][] = [
  ['60', 60_000],
  ['0', 0],
  ['Fri, 01 May 2026 12:00:30 GMT', 30_000],
  ['Fri, 01 May 2026 11:00:00 GMT', 0],
  ['86400', 600_000],
  ['Fri, 01 May 2099 12:00:30 GMT', 600_000],
  ['99999999999999999999', 5_000],
  ['soon', 5_000],
  ['', 5_000],
  [undefined, 5_000],
]
for (const [header, waitMs] of waits) {
  test(`Retry-After: ${header} means ${waitMs} ms`, () => assert.equal(retryAfterMs(header, NOW), waitMs))
}

test('a limit holds for its part of its registry until its time has come', () => {
  const clock = { nowMs: 1_000 }
  const limits = createRateLimits({ nowMs: () => clock.nowMs, wallNowMs: () => NOW })
  limits.met('docker.io', 'manifests', 60_000)
  assert.equal(limits.waitSeconds('docker.io', 'manifests'), 60)
  assert.equal(limits.waitSeconds('docker.io', 'blobs'), undefined)
  assert.equal(limits.waitSeconds('registry.corp.example', 'manifests'), undefined)
  assert.deepEqual(limits.current(), [{ registry: 'docker.io', part: 'manifests', retryAt: new Date(NOW + 60_000) }])
  clock.nowMs += 59_500
  assert.equal(limits.waitSeconds('docker.io', 'manifests'), 1)
  clock.nowMs += 500
  assert.equal(limits.waitSeconds('docker.io', 'manifests'), undefined)
  assert.deepEqual(limits.current(), [])
  limits.met('docker.io', 'tokens', 60_000)
  limits.forgetRegistry('docker.io')
  assert.equal(limits.waitSeconds('docker.io', 'tokens'), undefined)
})

const numbers: [header: string | string[] | undefined, expected: number | undefined][] = [
  ['100;w=21600', 100],
  ['0;w=21600', 0],
  ['76', 76],
  ['76, 100;w=1', 76],
  ['x', undefined],
  ['1e9', undefined],
  ['99999999999', undefined],
  [['1', '2'], undefined],
  [undefined, undefined],
]
for (const [header, expected] of numbers) {
  test(`the limit ${JSON.stringify(header)} is read as ${expected}`, () =>
    assert.equal(rateLimitNumber(header), expected))
}
