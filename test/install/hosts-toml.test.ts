import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import { withCallerToken } from '../../src/install/caller-token.ts'
import { hostFolder, quote } from '../../src/install/hosts-toml.ts'
import { planClient } from '../../src/install/plan-client.ts'
import { Secret } from '../../src/secret.ts'
import { overTls, settingOf } from './setting.ts'

const NAME = 'reg.example.com'
const PROXY = 'http://127.0.0.1:5050'
const host = { capabilities: ['pull', 'resolve'], header: { 'regcredd-token': ['CALLER_TOKEN'] } }
const never = { server: PROXY, capabilities: ['push'], host: { [PROXY]: host } }

const forms: [what: string, registries: object[], expected: object][] = [
  ['`never` names the daemon as the last host too, for nothing but "push"', [{ host: NAME }], never],
  [
    '`origin` ends at the registry',
    [{ host: NAME, fallback: 'origin' }],
    { server: `https://${NAME}`, host: { [PROXY]: host } },
  ],
  [
    '`origin` of a registry with its own address and authority names both',
    [{ host: NAME, fallback: 'origin', upstream: 'https://10.1.2.3:8443', caFile: '/ca.pem' }],
    { server: 'https://10.1.2.3:8443', ca: '/ca.pem', host: { [PROXY]: host } },
  ],
  [
    '`origin` goes by the image’s own host where containerd could not check the certificate of the address',
    [{ host: NAME, fallback: 'origin', upstream: 'https://10.1.2.3', serverName: NAME }],
    { server: `https://${NAME}`, host: { [PROXY]: host } },
  ],
  [
    'of two entries of one host one `never` is enough',
    [{ host: NAME, fallback: 'origin' }, { host: `${NAME}/secret` }],
    never,
  ],
  [
    'where redirects are relayed the token is shown as Authorization, which containerd does not take along to a store',
    [{ host: NAME, redirects: 'relay' }, { host: `${NAME}/other` }],
    {
      ...never,
      host: {
        [PROXY]: { ...host, header: { Authorization: ['Basic BASE64_OF_NODE_COLON_CALLER_TOKEN'] } },
      },
    },
  ],
  [
    'the Hub’s origin is its API host',
    [{ host: 'docker.io', fallback: 'origin' }],
    { server: 'https://registry-1.docker.io', host: { [PROXY]: host } },
  ],
]

describe('hosts.toml', () => {
  for (const [what, registries, expected] of forms) {
    test(what, () => {
      const { files } = planClient('containerd', settingOf(registries))
      assert.deepEqual(
        files.map(({ text }) => plain(text)),
        [expected],
      )
    })
  }

  test('lies in the folder of its host, a port between underscores, and is for root alone while it holds a token', () => {
    const { files } = planClient('containerd', settingOf([{ host: `${NAME}:5000` }, { host: 'docker.io' }]))
    assert.deepEqual(
      files.map(({ path, mode }) => [path, mode]),
      [
        [`/etc/containerd/certs.d/${NAME}_5000_/hosts.toml`, '0600'],
        ['/etc/containerd/certs.d/docker.io/hosts.toml', '0600'],
      ],
    )
    assert.equal(hostFolder('[::1]:5000'), '[::1]_5000_')
    assert.equal(hostFolder('[::1]'), '[::1]')
  })

  test('holds no header where everybody may call', () => {
    const { files } = planClient('containerd', settingOf([{ host: NAME }], { callers: 'open' }))
    assert.doesNotMatch(files[0]?.text ?? '', /header|TOKEN/)
    assert.equal(files[0]?.mode, '0644')
  })

  test('holds no header where the pod’s own pull secret is asked for, which containerd then sends', () => {
    const registries = [{ host: NAME, callers: 'pull-secret' }, { host: 'docker.io' }]
    const [tenants, hub] = planClient('containerd', settingOf(registries)).files
    assert.deepEqual([tenants?.mode, hub?.mode], ['0644', '0600'])
    assert.doesNotMatch(tenants?.text ?? '', /header|TOKEN/)
  })

  test('does not show the token as Authorization where an entry of the host would take it for a pull secret', () => {
    const registries = [
      { host: NAME, redirects: 'relay' },
      { host: `${NAME}/tenants`, callers: 'pull-secret' },
    ]
    const { files } = planClient('containerd', settingOf(registries))
    assert.match(files[0]?.text ?? '', /^regcredd-token = /m)
    assert.doesNotMatch(files[0]?.text ?? '', /Authorization/)
  })

  test('has the token in both places where it is asked for', () => {
    const [relaying, following] = planClient(
      'containerd',
      settingOf([{ host: NAME, redirects: 'relay' }, { host: 'docker.io' }]),
    ).files
    const text = `${relaying?.text}${following?.text}`
    const placed = withCallerToken(text, new Secret('planted'))
    assert.ok(placed.includes(`Authorization = ["Basic ${Buffer.from('node:planted').toString('base64')}"]`))
    assert.ok(placed.includes('regcredd-token = ["planted"]'))
    assert.doesNotMatch(placed, /CALLER_TOKEN/)
  })

  test('names an IPv6 address of the daemon in brackets', () => {
    const { files } = planClient('containerd', settingOf([{ host: NAME }], { listen: '[::1]:5050' }))
    assert.equal(plain(files[0]?.text ?? '')['server'], 'http://[::1]:5050')
  })

  test('over TLS names the daemon’s authority, and the client certificate only where one must be shown', () => {
    const url = 'https://127.0.0.1:5050'
    const folder = '/etc/regcredd/client'
    const registries = [{ host: NAME }, { host: 'docker.io', callers: 'token', fallback: 'origin' }]
    const { files, ownFiles } = planClient('containerd', settingOf(registries, { callers: 'mtls', ...overTls }))
    const capabilities = ['pull', 'resolve']
    const ca = `${folder}/ca.crt`
    assert.deepEqual(
      files.map(({ mode, text }) => [mode, plain(text)]),
      [
        [
          '0644',
          {
            server: url,
            capabilities: ['push'],
            host: { [url]: { capabilities, ca, client: [[`${folder}/client.cert`, `${folder}/client.key`]] } },
          },
        ],
        [
          '0600',
          {
            server: 'https://registry-1.docker.io',
            host: { [url]: { capabilities, ca, header: { 'regcredd-token': ['CALLER_TOKEN'] } } },
          },
        ],
      ],
    )
    assert.deepEqual(
      ownFiles.map(({ path, mode }) => [path, mode]),
      [
        [ca, '0644'],
        [`${folder}/client.cert`, '0644'],
        [`${folder}/client.key`, '0600'],
      ],
    )
    const { ownFiles: own } = planClient('containerd', settingOf([{ host: NAME }], overTls))
    assert.deepEqual(
      own.map(({ path }) => path),
      [ca],
    )
  })

  test('any path survives the quoting', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(plain(`a = ${quote(text)}`)['a'], text)
      }),
    )
  })
})

/** As an object like those of this file: the parser's have no prototype. */
function plain(toml: string): Record<string, unknown> {
  return JSON.parse(JSON.stringify(parse(toml)))
}
