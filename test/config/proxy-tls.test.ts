import assert from 'node:assert/strict'
import { test } from 'node:test'
import { config, memory, problems } from './resolving.ts'

const tls = { certFile: '/ca.pem', keyFile: '/etc/regcredd/server.key', clientCaFile: '/two.pem' }
const host = 'reg.example.com'

test('client certificates are asked for by default or for one registry, with the files of the listener', () => {
  const { proxy, registries } = config({
    registries: [{ host }, { host: 'docker.io', callers: 'open' }],
    keychain: memory,
    proxy: { callers: 'mtls', tls: { ...tls, crlFile: '/etc/regcredd/crl.pem' } },
  })
  assert.equal(proxy.callers, 'mtls')
  assert.equal(proxy.tls?.crlFile, '/etc/regcredd/crl.pem')
  assert.equal(registries[1]?.callers, 'open')
})

test('"mtls" without the files of a listener is refused with what to add', () => {
  const remedy = '"mtls" needs proxy.tls (add proxy.tls with certFile, keyFile and clientCaFile)'
  assert.deepEqual(problems({ registries: [{ host }], keychain: memory, proxy: { callers: 'mtls' } }), [
    `proxy.callers: ${remedy}`,
  ])
  const registries = [{ host }, { host: 'docker.io', callers: 'mtls' }]
  assert.deepEqual(problems({ registries, keychain: memory }), [`registries[1].callers: ${remedy}`])
})

for (const [what, more, problem] of [
  ['a certificate that is not there', { certFile: '/no.pem' }, /^proxy\.tls\.certFile: cannot be read: ENOENT/],
  ['a key in place of a certificate', { certFile: '/key.pem' }, /^proxy\.tls\.certFile: holds a private key/],
  ['an authority that cannot be read', { clientCaFile: '/broken.pem' }, /^proxy\.tls\.clientCaFile: is no PEM file/],
  ['a relative key', { keyFile: 'server.key' }, /^proxy\.tls\.keyFile: must be an absolute path/],
  ['a relative list', { crlFile: 'crl.pem' }, /^proxy\.tls\.crlFile: must be an absolute path/],
  ['no authority', { clientCaFile: undefined }, /^proxy\.tls\.clientCaFile: is missing/],
] as const) {
  test(`${what} is told with its key`, () => {
    const found = problems({ registries: [{ host }], keychain: memory, proxy: { tls: { ...tls, ...more } } })
    assert.equal(found.length, 1, found.join('; '))
    assert.match(found[0] ?? '', problem)
  })
}
