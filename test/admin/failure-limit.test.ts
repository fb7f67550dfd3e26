import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFailureLimit } from '../../src/admin/failure-limit.ts'

function createLimit() {
  const clock = { nowMs: 0 }
  const limit = createFailureLimit(() => clock.nowMs)
  const times = (count: number, address: string) => Array.from({ length: count }, () => limit.failed(address)).at(-1)
  return { clock, limit, times, failed: limit.failed }
}

test('an address may fail five times within a minute, and then again a minute after the fifth', () => {
  const { clock, times, failed } = createLimit()
  assert.equal(times(4, '10.0.0.1'), undefined)
  clock.nowMs = 30_000
  assert.equal(failed('10.0.0.1'), undefined)
  assert.equal(failed('10.0.0.1'), 60)
  clock.nowMs = 89_999
  assert.equal(failed('10.0.0.1'), 1)
  assert.equal(failed('10.0.0.2'), undefined)
  clock.nowMs = 90_000
  assert.equal(times(5, '10.0.0.1'), undefined)
})

test('whether an address is held back can be asked without a count', () => {
  const { clock, times, limit } = createLimit()
  times(4, '10.0.0.1')
  for (let count = 0; count < 50; count += 1) assert.equal(limit.held('10.0.0.1'), undefined)
  times(1, '10.0.0.1')
  assert.equal(limit.held('10.0.0.1'), 60)
  assert.equal(limit.held('10.0.0.2'), undefined)
  clock.nowMs = 60_000
  assert.equal(limit.held('10.0.0.1'), undefined)
})

test('failures that are more than a minute apart hold nobody back', () => {
  const { clock, failed } = createLimit()
  for (let count = 0; count < 50; count += 1) {
    assert.equal(failed('10.0.0.1'), undefined)
    clock.nowMs += 15_001
  }
})

test('an IPv6 network of 64 bits is one address, and an IPv4 address is one in both families', () => {
  const { times, failed } = createLimit()
  assert.equal(times(5, '2001:db8:1:2::1'), undefined)
  assert.ok(failed('2001:db8:1:2:ffff::9'))
  assert.ok(failed('2001:DB8:1:2:3:4:5:6'))
  assert.equal(failed('2001:db8:1:3::1'), undefined)
  assert.equal(times(5, '::ffff:10.0.0.9'), undefined)
  assert.ok(failed('10.0.0.9'))
  // A link-local address comes with the interface that it was seen on.
  assert.equal(times(5, 'fe80::1%eth0'), undefined)
  assert.ok(failed('fe80::2%eth1'))
})

test('sixty failures of all addresses together hold all back, and memory does not grow with the addresses', () => {
  const { clock, failed } = createLimit()
  const waits = Array.from({ length: 61 }, (_, index) => failed(`10.0.1.${index}`))
  assert.deepEqual([waits.filter((wait) => wait !== undefined), waits.at(-1)], [[60], 60])
  clock.nowMs = 120_000
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < 200_000; index += 1) failed(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`)
  globalThis.gc?.()
  assert.ok(process.memoryUsage().heapUsed - before < 30_000_000)
})
