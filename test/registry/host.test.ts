import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { apiOrigin, canonicalHost, canonicalName, looksLikeHost } from '../../src/registry/host.ts'

// The numbers are those of the nasty cases in the issue on the registry protocol.
const canonical: [string, string][] = [
  ['registry.corp.example', 'registry.corp.example'],
  ['REG.example.com.:443', 'reg.example.com'], // case 5
  ['index.docker.io', 'docker.io'], // case 6
  ['registry-1.docker.io', 'docker.io'],
  ['Registry.Hub.Docker.com.', 'docker.io'],
  ['registry-1.docker.io:443', 'docker.io'],
  ['registry-1.docker.io:5000', 'registry-1.docker.io:5000'],
  ['docker.io', 'docker.io'],
  ['reg:5000', 'reg:5000'], // case 7
  ['reg:0443', 'reg'],
  ['reg:80', 'reg:80'],
  ['localhost', 'localhost'],
  ['10.0.0.1:5000', '10.0.0.1:5000'],
  ['[::1]:5000', '[::1]:5000'],
  ['[2001:DB8:0:0::1]', '[2001:db8::1]'],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
]

for (const [input, expected] of canonical) {
  test(`the host ${input} is written ${expected}`, () => {
    assert.equal(canonicalHost(input), expected)
    assert.equal(canonicalHost(expected), expected)
  })
}

const invalid = [
  '',
  '.',
  'reg..io',
  'reg.io..',
  '-reg.io',
  'reg-.io',
  'reg_x.io',
  'good.com@evil.com', // case 4
  'good.com#x',
  'good.com?x',
  'good.com/x',
  'good.com\r\nX: y',
  'good.com\n',
  ' good.com',
  'good.com\t',
  'good.com\0',
  'reg%3A5000',
  'good.com\\evil.com',
  'bücher.example',
  'reg.io:',
  'reg.io:0',
  'reg.io:65536',
  'reg.io:999999',
  'reg.io:5000:5000',
  'reg.io:50a',
  '::1',
  '[::1',
  '[::1]5000',
  '[fe80::1%eth0]:5000',
  '[2001:db8::192.0.2.33]',
  '[:::]',
  '2130706433',
  '0x7f000001',
  '127.1',
  '127.0.0.0x1',
  '1.2.3.256',
  '010.0.0.1',
  `${'a'.repeat(64)}.io`,
  `${'a.'.repeat(127)}io`,
]

for (const input of invalid) {
  test(`${JSON.stringify(input.slice(0, 40))} is no host, and the error does not repeat it`, () => {
    assert.throws(
      () => canonicalHost(input),
      (error: RegcreddError) =>
        error.code === 'NAMESPACE_INVALID' && (input.trim().length < 3 || !error.message.includes(input)),
    )
  })
}

test('a name is a host, or a host and the beginning of a repository', () => {
  assert.deepEqual(canonicalName('Reg.io:443'), { name: 'reg.io', host: 'reg.io', path: '' })
  assert.deepEqual(canonicalName('REG.io/team/a-b'), { name: 'reg.io/team/a-b', host: 'reg.io', path: 'team/a-b' })
  for (const text of [
    'reg.io/',
    'reg.io//a',
    'reg.io/Team',
    'reg.io/../x',
    'reg.io/a/',
    'reg.io/a:tag',
    'reg.io/%2e',
  ]) {
    assert.throws(() => canonicalName(text), { code: 'NAME_INVALID' }, text)
  }
  assert.throws(() => canonicalName('a@b/team'), { code: 'NAMESPACE_INVALID' })
})

test('the Hub is served by its API host, any other registry by its own', () => {
  assert.equal(apiOrigin('docker.io'), 'https://registry-1.docker.io')
  assert.equal(apiOrigin('reg.io:5000'), 'https://reg.io:5000')
})

test('a segment looks like a host by a dot, a colon, or as localhost', () => {
  for (const segment of ['reg.io', 'reg:5000', 'localhost', '[::1]']) assert.ok(looksLikeHost(segment), segment)
  for (const segment of ['library', 'team-a', 'LOCALHOST', '']) assert.ok(!looksLikeHost(segment), segment)
})

test('whatever comes in, a host is canonical or refused with a code, and is a URL host of the same spelling', () => {
  const hostish = fc.string({ unit: fc.constantFrom(...'aZ09.-:[]_%@/#?\\\r\n\0 fFx'), maxLength: 24 })
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.domain(), fc.ipV4(), fc.ipV6(), hostish), (text) => {
      try {
        const host = canonicalHost(text)
        assert.equal(canonicalHost(host), host)
        assert.equal(new URL(`https://${host}/`).host, host)
      } catch (error) {
        assert.ok(error instanceof RegcreddError && error.code === 'NAMESPACE_INVALID', String(error))
      }
    }),
  )
})
