import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { addressCheck, guardedLookup, isAllowedAddress } from '../../src/upstream/address.ts'

const refused = [
  ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.255.0.1', '169.254.169.254'],
  ...['172.16.0.1', '172.31.255.255', '192.0.0.1', '192.0.2.1', '192.168.1.1', '198.18.0.1', '198.51.100.1'],
  ...['203.0.113.1', '224.0.0.1', '239.1.1.1', '240.0.0.1', '255.255.255.255'],
  ...['::', '::1', '::127.0.0.1', '::8.8.8.8', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1'],
  ...['::ffff:0:127.0.0.1', '64:ff9b::10.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::8.8.8.8', '100::1'],
  ...['2001::1', '2001:db8::1', '2002:7f00:1::', '2002:a9fe:a9fe::1', '3fff::1', 'fc00::1', 'fd12::1'],
  ...['fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '4000::1'],
  // No addresses at all: what a name server or a caller may try to pass for one.
  ...['', 'localhost', '2130706433', '0x7f000001', '127.1', '010.0.0.1', '1.2.3.4 ', '[::1]'],
]
const allowed = [
  ...['8.8.8.8', '1.1.1.1', '100.63.255.255', '100.128.0.1', '172.15.0.1', '172.32.0.1', '193.168.1.1', '223.255.0.1'],
  ...['2606:4700::1111', '2a00:1450:4001:81b::200e', '::ffff:8.8.8.8', '64:ff9b::808:808', '2002:808:808::1'],
]

test('case 24: only global unicast addresses are allowed, in whatever form they are written', () => {
  for (const address of refused) assert.equal(isAllowedAddress(address, []), false, address)
  for (const address of allowed) assert.equal(isAllowedAddress(address, []), true, address)
})

test('a listed range is allowed, in all forms of its addresses, and nothing beside it', () => {
  const check = addressCheck(['10.1.0.0/16', '127.0.0.1', 'fd00:1::/32'])
  for (const address of ['10.1.255.1', '::ffff:10.1.0.1', '64:ff9b::10.1.0.1', '127.0.0.1', 'fd00:1::5', '8.8.8.8']) {
    assert.equal(check(address), true, address)
  }
  for (const address of ['10.2.0.1', '127.0.0.2', 'fd00:2::5', '::1', '169.254.169.254']) {
    assert.equal(check(address), false, address)
  }
  assert.equal(isAllowedAddress('169.254.169.254', ['0.0.0.0/0']), true)
})

test('what is no address range is refused when the check is made', () => {
  for (const range of [
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    'localhost',
    '',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/',
  ]) {
    assert.throws(() => addressCheck([range]), { code: 'CONFIG_INVALID' }, range)
  }
})

test('an IPv4 address is judged alike in every IPv6 form that carries it', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
      const [high, low] = [(a << 8) | b, (c << 8) | d].map((group) => group.toString(16))
      const verdict = isAllowedAddress(address, [])
      for (const form of [
        `::ffff:${address}`,
        `::ffff:${high}:${low}`,
        `64:ff9b::${high}:${low}`,
        `2002:${high}:${low}::1`,
      ]) {
        assert.equal(isAllowedAddress(form, []), verdict, form)
      }
    }),
  )
})

test('no text makes the check throw', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.ipV6()), (text) => typeof isAllowedAddress(text, []) === 'boolean'))
})

test('case 24: a name that resolves to a private address is refused before a connection is tried', async () => {
  const codeOf = (host: string, allow: string[]) =>
    new Promise((resolve) => {
      const socket = connect({ host, port: 1, lookup: guardedLookup(addressCheck(allow)) })
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    })
  assert.equal(await codeOf('localhost', []), 'ADDRESS_REFUSED')
  // The resolver of the system, not we, reads these as addresses of loopback.
  for (const host of ['2130706433', '0x7f000001', '127.1'])
    assert.equal(await codeOf(host, []), 'ADDRESS_REFUSED', host)
  assert.equal(await codeOf('localhost', ['127.0.0.0/8', '::1']), 'ECONNREFUSED')
})
