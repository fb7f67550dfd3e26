import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ipv6Groups } from '../src/ipv6-groups.ts'

test('an address has eight groups, wherever it leaves zeroes out and however it is spelled', () => {
  for (const [address, groups] of [
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['2001:DB8::', '2001:db8:0:0:0:0:0:0'],
    ['2001:0db8:0001::0002', '2001:db8:1:0:0:0:0:2'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:10.0.0.9', '0:0:0:0:0:ffff:a00:9'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0:0:0:c000:201'],
  ] as const) {
    assert.equal(ipv6Groups(address).join(':'), groups, address)
  }
})

test('any eight groups are found again, also where a run of zeroes is written as ::', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (numbers) => {
      const groups = numbers.map((number) => number.toString(16))
      const full = numbers.map((number) => number.toString(16).toUpperCase().padStart(4, '0')).join(':')
      const short = groups.join(':').replace(/(?:^|:)0(?::0)+(?::|$)/, '::')
      assert.deepEqual(ipv6Groups(full), groups)
      assert.deepEqual(ipv6Groups(short), groups)
    }),
  )
})
