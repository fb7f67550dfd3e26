import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { allowedRealm } from '../../src/upstream/realm.ts'
import { listed } from '../helpers/proxy.ts'

const corp = listed('registry.corp.example', new URL('https://registry.corp.example'), {
  realms: ['https://auth.corp.example', 'https://auth.corp.example:8443'],
})
const hub = listed('docker.io', new URL('https://registry-1.docker.io'))
const gitlab = listed('registry.gitlab.com', new URL('https://registry.gitlab.com'))
const plain = listed('127.0.0.1:5000', new URL('http://127.0.0.1:5000'))
const request = new URL('https://registry.corp.example/v2/team/app/manifests/1')

test('a realm may be on the registry itself, on a known pair, or on a listed origin', () => {
  const yes = [
    [corp, 'https://registry.corp.example/token?x=1'],
    [corp, 'https://REGISTRY.corp.example:443/token'],
    [corp, 'https://auth.corp.example/token'],
    [corp, 'https://auth.corp.example:8443/token'],
    [hub, 'https://auth.docker.io/token'],
    [gitlab, 'https://gitlab.com/jwt/auth'],
    [plain, 'http://127.0.0.1:5000/token'],
  ] as const
  for (const [registry, realm] of yes) assert.equal(allowedRealm(registry, realm, request).href, new URL(realm).href)
})

test('a relative realm is one on the registry that was asked', () => {
  assert.equal(allowedRealm(corp, '/service/token', request).href, 'https://registry.corp.example/service/token')
  assert.throws(() => allowedRealm(corp, '//evil.example/token', request), { code: 'REALM_REFUSED' })
})

test('cases 23 and 24, CVE-2020-15157: a realm elsewhere is refused', () => {
  const no = [
    [corp, 'http://registry.corp.example/token'],
    [corp, 'http://auth.corp.example/token'],
    [corp, 'https://registry.corp.example:444/token'],
    [corp, 'https://auth.corp.example:8444/token'],
    [corp, 'https://registry.corp.example.evil.example/token'],
    [corp, 'https://registry.corp.example./token'],
    [corp, 'https://sub.registry.corp.example/token'],
    [corp, 'https://evil.example/token'],
    [corp, 'https://auth.docker.io/token'],
    [corp, 'https://registry.corp.example@evil.example/token'],
    [corp, 'https://user:pass@registry.corp.example/token'],
    [corp, 'https://registry.corp.example\\@evil.example/token'],
    [corp, 'https:/\t/registry.corp.example/token'],
    [corp, 'https://registry.corp.example/token\r\nX: y'],
    [corp, 'https://2130706433/token'],
    [corp, 'https://0x7f000001/token'],
    [corp, 'https://127.1/token'],
    [corp, 'https://0.0.0.0/token'],
    [corp, 'https://[::1]/token'],
    [corp, 'file:///etc/passwd'],
    [corp, 'javascript:1'],
    [corp, 'https://'],
    [hub, 'https://auth.docker.io.evil.example/token'],
    [hub, 'http://auth.docker.io/token'],
    [hub, 'https://gitlab.com/jwt/auth'],
    [gitlab, 'https://evil.gitlab.com/jwt/auth'],
    [plain, 'http://127.0.0.1:5001/token'],
    [plain, 'https://127.0.0.1:5000/token'],
  ] as const
  for (const [registry, realm] of no) {
    assert.throws(() => allowedRealm(registry, realm, request), { code: 'REALM_REFUSED' }, realm)
  }
})

test('case 23: a realm without TLS is refused to a registry with TLS even where it is listed', () => {
  const careless = { ...corp, realms: ['http://auth.corp.example'] }
  assert.throws(() => allowedRealm(careless, 'http://auth.corp.example/token', request), { code: 'REALM_REFUSED' })
})

test('the refusal names the origin, so that it can be listed, but neither path nor query', () => {
  assert.throws(
    () => allowedRealm(corp, 'https://login.corp.example/path?token=abc', request),
    ({ message }: Error) => message.includes('https://login.corp.example') && !/path|abc/.test(message),
  )
})

test('whatever a registry names, a credential goes to one of four origins or nowhere', () => {
  const allowed = ['https://registry.corp.example', 'https://auth.corp.example', 'https://auth.corp.example:8443']
  const pieces = fc.constantFrom(
    'https:',
    'http:',
    '/',
    '//',
    '\\',
    '@',
    ':',
    '#',
    '?',
    '.',
    ' ',
    '\t',
    'evil.example',
    ...allowed,
    'x',
  )
  const realms = fc.oneof(
    fc.string(),
    fc.webUrl(),
    fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
  )
  fc.assert(
    fc.property(realms, (realm) => {
      try {
        const url = allowedRealm(corp, realm, request)
        assert.ok(allowed.includes(url.origin) && url.username === '', url.href)
      } catch (error) {
        assert.ok(error instanceof RegcreddError && error.code === 'REALM_REFUSED', String(error))
      }
    }),
    { numRuns: 500 },
  )
})
