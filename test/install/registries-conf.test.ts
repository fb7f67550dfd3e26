import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'smol-toml'
import { planClient } from '../../src/install/plan-client.ts'
import { overTls, settingOf } from './setting.ts'

const NAME = 'reg.example.com'
const OURS = { location: `127.0.0.1:5050/${NAME}`, insecure: true }

const forms: [what: string, registry: object, expected: object][] = [
  ['`never` puts the daemon in the registry’s place', { host: NAME }, { prefix: NAME, ...OURS }],
  [
    '`origin` puts it before the registry',
    { host: NAME, fallback: 'origin' },
    { prefix: NAME, location: NAME, mirror: [OURS] },
  ],
  [
    'a port is written with an underscore in the daemon’s path alone',
    { host: `${NAME}:5000` },
    { prefix: `${NAME}:5000`, location: `127.0.0.1:5050/${NAME}_5000`, insecure: true },
  ],
  [
    'an entry with a path has a prefix with that path',
    { host: `${NAME}:5000/team` },
    { prefix: `${NAME}:5000/team`, location: `127.0.0.1:5050/${NAME}_5000/team`, insecure: true },
  ],
  [
    'a registry in the clear may be asked in the clear',
    { host: '10.1.2.3:5000', upstream: 'http://10.1.2.3:5000', fallback: 'origin' },
    {
      prefix: '10.1.2.3:5000',
      location: '10.1.2.3:5000',
      insecure: true,
      mirror: [{ location: '127.0.0.1:5050/10.1.2.3_5000', insecure: true }],
    },
  ],
]

describe('registries.conf', () => {
  for (const [what, registry, expected] of forms) {
    test(what, () => {
      const [file] = planClient('podman', settingOf([registry])).files
      assert.deepEqual(JSON.parse(JSON.stringify(parse(file?.text ?? ''))), { registry: [expected] })
    })
  }

  test('goes with an auth file for the daemon, of mode 0600, in the place where the client looks', () => {
    const authOf = (client: 'podman' | 'cri-o', proxy = {}) =>
      planClient(client, settingOf([{ host: NAME }], proxy)).files.filter(({ text }) => text.includes('"auths"'))
    const auths = { '127.0.0.1:5050': { auth: 'BASE64_OF_NODE_COLON_CALLER_TOKEN' } }
    const [podman] = authOf('podman')
    assert.deepEqual([podman?.mode, JSON.parse(podman?.text ?? '')], ['0600', { auths }])
    const [crio] = authOf('cri-o')
    const { files } = planClient('cri-o', settingOf([{ host: NAME }]))
    assert.ok(files.some(({ text }) => text.includes(`global_auth_file = "${crio?.path}"`)))
    assert.deepEqual(authOf('podman', { callers: 'open' }), [])
  })

  test('with `origin` a private authority is the tools’ own matter, and that is said', () => {
    const notes = (entry: object) =>
      planClient('skopeo', settingOf([{ host: NAME, caFile: '/ca.pem', ...entry }])).notes
    assert.match(notes({ fallback: 'origin' }).join(), /copy \/ca.pem to \/etc\/containers\/certs.d\/reg.example.com/)
    assert.deepEqual(notes({}), [])
  })
})

describe('over TLS', () => {
  test('no location is insecure, and the certificates lie in certs.d under the daemon’s address and port', () => {
    for (const client of ['podman', 'skopeo', 'cri-o'] as const) {
      const setting = settingOf([{ host: NAME, fallback: 'origin' }], { callers: 'mtls', ...overTls })
      const { files, ownFiles } = planClient(client, setting)
      assert.equal(files.length, 1, 'no auth file')
      assert.doesNotMatch(files[0]?.text ?? '', /insecure/)
      assert.deepEqual(
        ownFiles.map(({ path }) => path),
        ['ca.crt', 'client.cert', 'client.key'].map((name) => `/etc/containers/certs.d/127.0.0.1:5050/${name}`),
      )
    }
  })

  test('dockerd shows its certificate out of its own certs.d', () => {
    const setting = settingOf([{ host: 'docker.io', fallback: 'origin' }], { callers: 'mtls', ...overTls })
    const { files, ownFiles, notes } = planClient('dockerd', setting)
    assert.deepEqual(JSON.parse(files[0]?.text ?? ''), { 'registry-mirrors': ['https://127.0.0.1:5050'] })
    assert.equal(ownFiles[1]?.path, '/etc/docker/certs.d/127.0.0.1:5050/client.cert')
    assert.deepEqual(notes, ['Merge it into the file that is there, and restart dockerd.'])
  })
})

describe('callers by pull secret', () => {
  test('log in with the credential itself, so no token is written', () => {
    const plan = planClient('podman', settingOf([{ host: NAME }], { callers: 'pull-secret' }))
    assert.equal(plan.files.length, 1)
    assert.match(plan.notes.join(), /wants its own credential shown: log in at 127.0.0.1:5050/)
  })
})

describe('dockerd', () => {
  test('gets a mirror for the Hub only, and what cannot be had is said', () => {
    const plan = planClient('dockerd', settingOf([{ host: 'docker.io' }, { host: NAME }]))
    assert.deepEqual(JSON.parse(plan.files[0]?.text ?? ''), { 'registry-mirrors': ['http://127.0.0.1:5050'] })
    assert.match(plan.notes.join(), /shows a mirror no token.*"never" cannot be had/)
    assert.deepEqual(
      plan.failOver.map(({ registry, next }) => [registry, next]),
      [
        ['docker.io', 'https://registry-1.docker.io'],
        [NAME, `https://${NAME}`],
      ],
    )
    const good = settingOf([{ host: 'docker.io', fallback: 'origin' }], { callers: 'open' })
    assert.deepEqual(planClient('dockerd', good).notes, ['Merge it into the file that is there, and restart dockerd.'])
  })

  test('has nothing to write where the Hub is not listed', () => {
    assert.deepEqual(planClient('dockerd', settingOf([{ host: NAME }])).files, [])
  })
})
