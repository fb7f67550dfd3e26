import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isExcepted } from '../../src/config/no-proxy.ts'
import { ca, config, memory, problems, withRegistry } from './resolving.ts'

const withEgress = (egress: object) => ({ ...withRegistry({}), egress })
const PROXY = 'http://proxy.corp.example:3128'

const refused: [what: string, parsed: unknown, problem: string | RegExp][] = [
  [
    'a proxy with a user',
    withEgress({ proxy: 'http://u:planted@p:1' }),
    'egress.proxy: must be `http://host:port` or `https://host:port` and nothing more (user and password belong into egress.credentialsFile)',
  ],
  [
    'a SOCKS proxy',
    withEgress({ proxy: 'socks5://p:1' }),
    'egress.proxy: must be `http://host:port` or `https://host:port` and nothing more (no path, query or fragment; other kinds of proxies are not known)',
  ],
  ['a proxy without a scheme', withEgress({ proxy: 'proxy.corp.example:3128' }), /^egress\.proxy: must be/],
  [
    'an exception that is none',
    withEgress({ proxy: PROXY, noProxy: ['.corp.example', 'http://x'] }),
    'egress.noProxy[1]: is no name, address, range or `*` (one entry each, without scheme and path)',
  ],
  [
    'two exceptions in one',
    withEgress({ proxy: PROXY, noProxy: ['a.example,b.example'] }),
    /^egress\.noProxy\[0\]: is no name/,
  ],
  ['exceptions to nothing', withEgress({ noProxy: ['*'] }), 'egress.noProxy: has no meaning without `egress.proxy`'],
  [
    'a login for nothing',
    withEgress({ credentialsFile: '/x' }),
    'egress.credentialsFile: has no meaning without `egress.proxy`',
  ],
  [
    'a relative path of the login',
    withEgress({ proxy: PROXY, credentialsFile: 'x' }),
    'egress.credentialsFile: must be an absolute path',
  ],
  [
    'an authority of a proxy without TLS',
    withEgress({ proxy: PROXY, caFile: '/ca.pem' }),
    'egress.caFile: has no meaning where `egress.proxy` is http://',
  ],
  [
    'an authority that is not there',
    withEgress({ proxy: 'https://p', caFile: '/none.pem' }),
    'egress.caFile: cannot be read: ENOENT (there is no such file)',
  ],
  [
    'a certificate without its key',
    withRegistry({ clientCertFile: '/ca.pem' }),
    'registries[0].clientKeyFile: is missing (a certificate is shown with its key)',
  ],
  [
    'a key without its certificate',
    withRegistry({ clientKeyFile: '/key.pem' }),
    'registries[0].clientCertFile: is missing (a key is of no use without it)',
  ],
  [
    'a relative path of a key',
    withRegistry({ clientCertFile: '/ca.pem', clientKeyFile: 'key' }),
    'registries[0].clientKeyFile: must be an absolute path',
  ],
  [
    'a key in the place of the certificate',
    withRegistry({ clientCertFile: '/key.pem', clientKeyFile: '/key.pem' }),
    /^registries\[0\]\.clientCertFile: holds a private key/,
  ],
  [
    'another way with redirects',
    withRegistry({ redirects: 'pass' }),
    'registries[0].redirects: must be "follow" or "relay"',
  ],
  [
    'an idle time of nothing',
    withRegistry({ limits: { idleTimeoutMs: 0 } }),
    'registries[0].limits.idleTimeoutMs: must be at least 1',
  ],
]
for (const [what, parsed, problem] of refused) {
  test(`${what} is refused with words that show nothing of it`, () => {
    const [found, ...more] = problems(parsed)
    if (typeof problem === 'string') assert.deepEqual([found, ...more], [problem])
    else assert.match(found ?? '', problem)
    assert.doesNotMatch([found, ...more].join(), /planted/)
  })
}

test('client certificates have no meaning where there is no TLS', () => {
  const entry = { upstream: 'http://127.0.0.1', clientCertFile: '/ca.pem', clientKeyFile: '/key.pem' }
  assert.deepEqual(problems(withRegistry(entry)), [
    'registries[0].clientCertFile: has no meaning where `upstream` is http://',
    'registries[0].clientKeyFile: has no meaning where `upstream` is http://',
  ])
})

test('no egress is not the same as an empty one', () => {
  assert.equal(config(withRegistry({})).egress, undefined)
  assert.deepEqual(config(withEgress({})).egress, {
    proxy: undefined,
    noProxy: [],
    credentialsFile: undefined,
    ca: undefined,
  })
})

test('egress and client certificates are read', () => {
  const egress = {
    proxy: 'https://Proxy.corp.example',
    noProxy: ['10.0.0.0/8'],
    credentialsFile: '/login',
    caFile: '/ca.pem',
  }
  const { egress: read, registries } = config({
    registries: [
      { host: 'reg.example.com', clientCertFile: '/ca.pem', clientKeyFile: '/nobody/may/read', redirects: 'relay' },
    ],
    keychain: memory,
    egress,
  })
  assert.deepEqual([read?.proxy?.href, read?.credentialsFile, read?.ca], ['https://proxy.corp.example/', '/login', ca])
  assert.ok(isExcepted(new URL('https://10.1.2.3'), read?.noProxy ?? []))
  assert.deepEqual(registries[0]?.clientCertificate, { certFile: '/ca.pem', keyFile: '/nobody/may/read' })
  assert.equal(registries[0]?.redirects, 'relay')
})
