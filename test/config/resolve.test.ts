import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { resolveConfig } from '../../src/config/load.ts'
import { config, files, memory, problems, readFrom, withRegistry } from './resolving.ts'

describe('a configuration that is good', () => {
  test('gets every default', () => {
    const { registries, proxy, health, admin, audit, kubernetes, log } = config({
      registries: [{ host: 'reg.example.com' }],
      keychain: { store: 'file' },
    })
    assert.deepEqual(registries[0], {
      name: 'reg.example.com',
      host: 'reg.example.com',
      path: '',
      upstream: new URL('https://reg.example.com'),
      serverName: undefined,
      ca: undefined,
      clientCertificate: undefined,
      caFile: undefined,
      repositories: undefined,
      realms: [],
      allowAddresses: [],
      credential: 'optional',
      callers: undefined,
      fallback: 'never',
      redirects: 'follow',
      canary: undefined,
      limits: { connectTimeoutMs: 10_000, answerTimeoutMs: 30_000, idleTimeoutMs: 30_000, maxConnections: 64 },
      rotation: {
        graceSeconds: 86_400,
        generate: { length: 40, alphabet: 'alphanumeric' },
        rotateEverySeconds: undefined,
        warnBeforeSeconds: 1_209_600,
      },
    })
    assert.deepEqual(proxy.listen, { host: '127.0.0.1', port: 5050 })
    assert.equal(proxy.callers, 'token')
    assert.deepEqual(health.listen, { host: '127.0.0.1', port: 5051 })
    assert.deepEqual(admin, {
      socket: '/run/regcredd/admin.sock',
      mode: 0o660,
      group: undefined,
      tokensFile: '/var/lib/regcredd/admin-tokens.json',
      tls: undefined,
      kubernetesAuth: undefined,
    })
    assert.deepEqual(audit, { folder: '/var/log/regcredd', whenFull: 'closed' })
    assert.equal(kubernetes, undefined)
    assert.deepEqual(log, { level: 'info' })
  })

  test('is made canonical: hosts, upstreams, realms, the registries of mirrors', () => {
    const { registries, proxy, kubernetes } = config({
      registries: [
        {
          host: 'REG.example.com.:443/team',
          realms: ['https://Auth.Example.com:443/'],
          caFile: '/two.pem',
        },
        { host: 'index.docker.io' },
        { host: 'localhost:5000', upstream: 'http://127.0.0.1:5000', realms: ['http://127.0.0.1:5001'] },
      ],
      keychain: memory,
      proxy: { defaultRegistry: 'Registry-1.Docker.io', listen: '[::1]:0' },
      kubernetes: {
        kubeconfig: '/kubeconfig',
        mirrors: [{ registries: ['docker.io', 'reg.example.com:443/team'], namespaces: ['default'] }],
      },
    })
    assert.deepEqual(
      registries.map(({ name, upstream, realms }) => [name, upstream.href, realms]),
      [
        ['reg.example.com/team', 'https://reg.example.com/', ['https://auth.example.com']],
        ['docker.io', 'https://registry-1.docker.io/', []],
        ['localhost:5000', 'http://127.0.0.1:5000/', ['http://127.0.0.1:5001']],
      ],
    )
    assert.equal(registries[0]?.ca, files['/two.pem'])
    assert.equal(proxy.defaultRegistry, 'docker.io')
    assert.deepEqual(proxy.listen, { host: '::1', port: 0 })
    assert.deepEqual(kubernetes?.mirrors, [
      {
        registries: ['docker.io', 'reg.example.com/team'],
        namespaces: ['default'],
        exceptNamespaces: [],
        secretName: 'regcred',
        serviceAccounts: [],
        adopt: false,
      },
    ])
  })
})

test('all problems are told at once, sorted by path, each where it is', () => {
  const found = problems({
    registries: [{ host: 'reg_x.io' }, { host: 'a.example', caFile: '/none.pem', limits: { maxConnections: 0 } }],
    keychian: {},
    proxy: { callers: 'anyone', listen: '0.0.0.0:5050' },
    admin: { mode: '660', socket: 'admin.sock' },
  })
  assert.deepEqual(
    found.map((line) => line.slice(0, line.indexOf(' '))),
    [
      'admin.mode:',
      'admin.socket:',
      'keychain:',
      'keychian:',
      'proxy.callers:',
      'proxy.listen:',
      'registries[0].host:',
      'registries[1].caFile:',
      'registries[1].limits.maxConnections:',
    ],
  )
})

const refused: [what: string, parsed: unknown, problem: string][] = [
  ['a file that holds a list', [], 'must be an object, not an array'],
  ['no registries', { registries: [], keychain: memory }, 'registries: must not be empty'],
  ['no keychain', { registries: [{ host: 'a.b' }] }, 'keychain: is missing'],
  [
    'an admin socket for everybody',
    { registries: [{ host: 'a.b' }], keychain: memory, admin: { mode: '0666' } },
    'admin.mode: must be an octal mode that gives others nothing, such as "0660"',
  ],
  [
    'an unknown store',
    { ...withRegistry({}), keychain: { store: 'disk' } },
    'keychain.store: must be "os", "file" or "memory"',
  ],
  [
    'a key in the wrong place',
    { ...withRegistry({}), listen: '127.0.0.1:1' },
    'listen: is no key that regcredd knows (it belongs in proxy or health or admin.tls)',
  ],
  [
    'a key of another store',
    { ...withRegistry({}), keychain: { store: 'os', keyFile: '/k' } },
    'keychain.keyFile: is no key that regcredd knows (it belongs in keychain with store "file" or proxy.tls or admin.tls)',
  ],
  [
    'a key of every object',
    JSON.parse('{"registries":[{"host":"a.b","__proto__":1}],"keychain":{"store":"memory"}}'),
    'registries[0].__proto__: is no key that regcredd knows',
  ],
  [
    'a listener on all addresses',
    { ...withRegistry({}), health: { listen: '0.0.0.0:5051' } },
    'health.listen: must be a loopback address (whoever can reach it can use it)',
  ],
  [
    'a listener by name',
    { ...withRegistry({}), proxy: { listen: 'localhost:5050' } },
    'proxy.listen: must be an address and a port (such as 127.0.0.1:5050 or [::1]:5050)',
  ],
  [
    'two listeners on one port',
    { ...withRegistry({}), health: { listen: '127.0.0.1:5050' } },
    'health.listen: is the same as proxy.listen',
  ],
  [
    'a socket path that the kernel cannot hold',
    { ...withRegistry({}), admin: { socket: `/${'s'.repeat(107)}` } },
    'admin.socket: must be at most 107 bytes long',
  ],
]

for (const [what, parsed, problem] of refused) {
  test(`${what} is refused with words`, () => assert.deepEqual(problems(parsed), [problem]))
}

test('no problem shows a value of the file, which may be a password in the wrong place', () => {
  const canary = 'https://robot:hunter2@reg.example.com/?hunter2'
  const json = JSON.stringify(
    problems({
      registries: [
        {
          host: canary,
          upstream: canary,
          realms: [canary],
          serverName: canary,
          repositories: [canary],
          canary,
          password: canary,
        },
        canary,
        { host: 'a.b', caFile: canary, allowAddresses: [canary], credential: canary, limits: canary },
      ],
      keychain: { store: canary },
      proxy: { listen: canary, callers: canary, callerTokenFile: canary, defaultRegistry: canary },
      admin: { mode: canary, socket: canary },
      kubernetes: { kubeconfig: canary, mirrors: [{ registries: [canary], namespaces: [canary], secretName: canary }] },
      log: { level: canary },
    }),
  )
  assert.ok(json.includes('registries[0].password') && !json.includes('hunter2'), json)
})

test('whatever a file holds, resolving gives a configuration or problems and never throws', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('a.b', 'docker.io', 'https://a.b', '/ca.pem', '127.0.0.1:0', 'file'),
  )
  const keys = [
    'registries',
    'host',
    'upstream',
    'realms',
    'caFile',
    'limits',
    'keychain',
    'store',
    'proxy',
    'listen',
    'kubernetes',
    'mirrors',
    'namespaces',
  ]
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, text, fc.integer(), fc.constant(null), tie('list'), tie('object')),
    list: fc.array(tie('tree'), { maxLength: 3 }),
    object: fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), tie('tree'), { maxKeys: 6 }),
  }))
  fc.assert(
    fc.property(tree, (parsed) => {
      const outcome = resolveConfig(parsed, readFrom)
      assert.ok('config' in outcome || outcome.problems.length > 0)
    }),
    { numRuns: 500 },
  )
})
