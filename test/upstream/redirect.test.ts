import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { redirectTarget } from '../../src/upstream/redirect.ts'
import { listed } from '../helpers/proxy.ts'

const corp = listed('registry.corp.example', new URL('https://registry.corp.example'), {
  allowAddresses: ['10.7.0.0/16'],
})
const local = listed('127.0.0.1:5000', new URL('http://127.0.0.1:5000'))
const from = new URL('https://registry.corp.example/v2/team/app/blobs/x')

test('a redirect to https anywhere in public, or to a listed private address, is followed', () => {
  const signed = 'https://store.example/a//b?X-Amz-Signature=0123%2F'
  assert.equal(redirectTarget(from, signed, corp).href, signed)
  assert.equal(redirectTarget(from, 'https://10.7.1.1:9000/b', corp).href, 'https://10.7.1.1:9000/b')
  assert.equal(redirectTarget(from, 'https://8.8.8.8/b#f', corp).href, 'https://8.8.8.8/b')
})

test('case 36: a relative redirect is resolved against the URL that was asked', () => {
  assert.equal(redirectTarget(from, '../y?z=1', corp).href, 'https://registry.corp.example/v2/team/app/y?z=1')
  assert.equal(redirectTarget(new URL('http://127.0.0.1:5000/v2/'), '/b', local).href, 'http://127.0.0.1:5000/b')
})

test('case 37: other schemes, a step down to http, a user in the URL and private addresses are refused', () => {
  const no = [
    ...[undefined, '', 'https://', 'https://a:99999/', 'file:///etc/passwd', 'ftp://store.example/', 'data:,x'],
    ...[
      'http://store.example/b',
      'http://registry.corp.example/b',
      'https://user@store.example/',
      'https://:p@store.example/',
    ],
    ...['https://127.0.0.1/', 'https://2130706433/', 'https://0x7f000001/', 'https://127.1/', 'https://0.0.0.0/'],
    ...['https://169.254.169.254/latest', 'https://10.8.0.1/', 'https://[::1]/', 'https://[::ffff:127.0.0.1]/'],
    ...['https://[fe80::1]/', 'https://store\t.example/', 'https://store.example/\r\nX: y'],
  ]
  for (const location of no)
    assert.throws(() => redirectTarget(from, location, corp), { code: 'REDIRECT_REFUSED' }, location)
  assert.throws(() => redirectTarget(local.upstream, 'http://127.0.0.1:5001/b', local), { code: 'REDIRECT_REFUSED' })
})

test('no refusal repeats any of the target', () => {
  for (const location of [
    'http://secret-store/path?sig=1',
    'https://secret-store@x/',
    'https://10.8.0.1/secret-store',
  ]) {
    assert.throws(
      () => redirectTarget(from, location, corp),
      (error: RegcreddError) => error.cause === undefined && !/secret-store|sig=|10\.8/.test(error.message),
    )
  }
})

test('whatever a registry says, the target is https without a user, or refused with a code', () => {
  const pieces = fc.constantFrom(
    'https:',
    'http:',
    '/',
    '//',
    '\\',
    '@',
    ':',
    '.',
    '127.1',
    '0',
    'store.example',
    '[::1]',
    '\n',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 7 }).map((parts) => parts.join('')),
      ),
      (location) => {
        try {
          const { protocol, username, password, hostname } = redirectTarget(from, location, corp)
          assert.deepEqual([protocol, username, password], ['https:', '', ''])
          assert.ok(!['127.0.0.1', '0.0.0.0', '[::1]'].includes(hostname), hostname)
        } catch (error) {
          assert.ok(error instanceof RegcreddError && error.code === 'REDIRECT_REFUSED', String(error))
        }
      },
    ),
    { numRuns: 500 },
  )
})
