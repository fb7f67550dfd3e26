import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCidr, isLocalLiteral, isLoopback, parseListen } from '../../src/config/address.ts'

test('an address to listen on is an IP literal with a port', () => {
  assert.deepEqual(parseListen('127.0.0.1:5050'), { host: '127.0.0.1', port: 5050 })
  assert.deepEqual(parseListen('[::1]:0'), { host: '::1', port: 0 })
  for (const bad of [
    'localhost:1',
    '127.0.0.1',
    ':5050',
    '::1:5050',
    '[127.0.0.1]:1',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '[::1%lo]:1',
    '127.0.0.1:1 ',
    '127.1:80',
    '',
  ]) {
    assert.equal(parseListen(bad), undefined, bad)
  }
})

test('loopback is 127/8 and ::1 and nothing else', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1']) assert.ok(isLoopback(address), address)
  for (const address of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'fe80::1']) assert.ok(!isLoopback(address), address)
})

test('plain http may go to loopback and private addresses, never to a name, a public or a link-local address', () => {
  for (const host of ['127.0.0.1', '[::1]', '10.1.2.3', '172.31.0.1', '192.168.0.1', '[fd00::1]']) {
    assert.ok(isLocalLiteral(host), host)
  }
  for (const host of [
    'localhost',
    'registry',
    '8.8.8.8',
    '172.32.0.1',
    '169.254.169.254',
    '[fe80::1]',
    '[2001:db8::1]',
    '',
  ]) {
    assert.ok(!isLocalLiteral(host), host)
  }
})

test('an address range has a prefix that covers all its set bits', () => {
  for (const range of [
    '10.0.0.0/8',
    '0.0.0.0/0',
    '10.1.2.3/32',
    '::/0',
    'fd00::/8',
    '2001:db8::1/128',
    '::ffff:10.0.0.0/104',
  ]) {
    assert.ok(isCidr(range), range)
  }
  for (const bad of [
    '10.0.0.0',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '::1/0',
    'fd00::/129',
    '10.0.0/8',
    'a/8',
    '10.0.0.0/8/8',
    '/8',
    '',
  ]) {
    assert.ok(!isCidr(bad), bad)
  }
})

test('a range is one exactly if masking its address changes nothing', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 32 }), (address, prefix) => {
      const dotted = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
      const size = 2 ** (32 - prefix)
      assert.equal(isCidr(`${dotted}/${prefix}`), address % size === 0)
    }),
  )
})
