import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { dockerConfigJson } from '../../src/mirror/docker-config-json.ts'
import { Secret } from '../../src/secret.ts'

type Entry = { username?: string; password?: string; auth?: string }

/**
 * What a kubelet makes of a pull secret: pkg/credentialprovider config.go (`auth` wins over the two fields and is split at its first colon) and
 * keyring.go (keys lose their scheme and a `/v1/` or `/v2/` path; the longest one that is the image's host, with its port, and a prefix of its path comes first).
 */
function kubeletFinds(content: string, image: string): { username: string; password: string } | undefined {
  const { auths } = JSON.parse(content) as { auths: Record<string, Entry> }
  const keys = Object.entries(auths).map(([key, entry]) => {
    const bare = key.replace(/^https?:\/\//, '').replace(/\/(v1|v2)\/?$/, '')
    const host = bare.split('/')[0] ?? ''
    return { host, path: bare.slice(host.length), entry }
  })
  const name =
    image.includes('/') && /[.:]|^localhost$/.test(image.split('/')[0] ?? '') ? image : `index.docker.io/${image}`
  const host = name.split('/')[0] ?? ''
  const path = name.slice(host.length)
  const [best] = keys
    .filter((key) => key.host === host && path.startsWith(key.path))
    .sort((a, b) => b.path.length - a.path.length)
  if (best === undefined) return undefined
  const { auth, username = '', password = '' } = best.entry
  if (auth === undefined) return { username, password }
  const plain = Buffer.from(auth, 'base64').toString()
  const at = plain.indexOf(':')
  return { username: plain.slice(0, at), password: plain.slice(at + 1) }
}

const login = (key: string, username: string, password: string) => ({
  key,
  username,
  secret: new Secret(password),
  email: undefined,
})

test('whatever the username and password, a kubelet gets them back whole', () => {
  const nasty = fc.constantFrom('<>&', '\u2028', '"', '\\', '\u0001', '{}', ' ', '🔑', '=')
  const text = (more: fc.Arbitrary<string>) =>
    fc
      .array(fc.oneof(fc.string({ unit: 'grapheme', minLength: 1 }), nasty, more), { minLength: 1, maxLength: 4 })
      .map((all) => all.join(''))
  // RFC 7617 § 2: no colon in a username; the API refuses one.
  const username = text(fc.constant('robot$x+y')).map((name) => name.replaceAll(':', '_'))
  fc.assert(
    fc.property(username, text(fc.constant(':a:')), (name, password) => {
      const content = dockerConfigJson([login('registry.corp.example', name, password)], undefined).reveal()
      assert.deepEqual(kubeletFinds(content, 'registry.corp.example/team/app'), { username: name, password })
    }),
    { numRuns: 500 },
  )
})

for (const [image, expected] of [
  ['registry.corp.example:5000/team/app', 'port'],
  ['registry.corp.example/team/app', 'host'],
  ['registry.corp.example/deep/team/app', 'path'],
  ['library/nginx', 'hub'],
  ['other.example/team/app', undefined],
  ['registry.corp.example:6000/team/app', undefined],
] as const) {
  test(`of a Secret with several registries a kubelet takes ${expected ?? 'none'} for ${image}`, () => {
    const keys = {
      'registry.corp.example': 'host',
      'registry.corp.example:5000': 'port',
      'registry.corp.example/deep': 'path',
      'docker.io': 'hub',
    }
    const logins = Object.entries(keys).map(([key, password]) => login(key, 'ci', password))
    assert.equal(kubeletFinds(dockerConfigJson(logins, undefined).reveal(), image)?.password, expected)
  })
}
