import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isExcepted, parseNoProxy, parseNoProxyEntry } from '../../src/config/no-proxy.ts'

/** As Go's httpproxy reads the variable: the entry, what is then reached directly, and what is not. */
const table: [entry: string, direct: string[], proxied: string[]][] = [
  [
    'corp.example',
    ['https://corp.example', 'https://a.b.corp.example:8443'],
    ['https://xcorp.example', 'https://corp.example.org'],
  ],
  ['.corp.example', ['https://reg.corp.example'], ['https://corp.example', 'https://xcorp.example']],
  ['*.corp.example', ['https://reg.corp.example'], ['https://corp.example']],
  ['CORP.Example.', ['https://reg.corp.example', 'https://corp.example.'], ['https://example']],
  [
    'corp.example:5000',
    ['https://corp.example:5000', 'https://x.corp.example:5000'],
    ['https://corp.example', 'http://corp.example'],
  ],
  ['corp.example:443', ['https://corp.example'], ['http://corp.example', 'https://corp.example:444']],
  ['corp.example:80', ['http://corp.example'], ['https://corp.example']],
  ['*', ['https://anything.example', 'https://10.0.0.1', 'https://[2001:db8::1]'], []],
  [
    '10.0.0.0/8',
    ['https://10.1.2.3', 'https://167772161', 'https://[::ffff:10.1.2.3]'],
    ['https://11.0.0.1', 'https://10.example'],
  ],
  ['10.1.2.3', ['https://10.1.2.3:5000'], ['https://10.1.2.4', 'https://10.1.2.30']],
  ['10.1.2.3:5000', ['https://10.1.2.3:5000'], ['https://10.1.2.3']],
  ['fd00::/8', ['https://[fd12::1]'], ['https://[fe80::1]', 'https://10.0.0.1']],
  ['2001:db8::1', ['https://[2001:db8:0::1]:5000'], ['https://[2001:db8::2]']],
  ['[2001:db8::1]', ['https://[2001:db8::1]'], ['https://[2001:db8::2]']],
  ['[2001:db8::1]:5000', ['https://[2001:db8::1]:5000'], ['https://[2001:db8::1]']],
  ['0.0.0.0/0', ['https://192.0.2.1'], ['https://[2001:db8::1]', 'https://corp.example']],
]
for (const [entry, direct, proxied] of table) {
  test(`NO_PROXY ${entry} means what Go takes it for`, () => {
    const { rules, unread } = parseNoProxy(entry)
    assert.equal(unread, 0)
    for (const url of direct) assert.ok(isExcepted(new URL(url), rules), `${url} is reached directly`)
    for (const url of proxied) assert.ok(!isExcepted(new URL(url), rules), `${url} goes by the proxy`)
  })
}

test('entries stand between commas and spaces; what means nothing is counted and does not spoil the others', () => {
  const { rules, unread } = parseNoProxy(' .a.example,,b.example\t10.0.0.0/8 , http://c.example, 10.0.0.0/33,a b:99999')
  assert.equal(rules.length, 4)
  assert.equal(unread, 3)
  assert.deepEqual(parseNoProxy(''), { rules: [], unread: 0 })
})

for (const entry of [
  '',
  '.',
  '..',
  '*.',
  '**',
  'a..b',
  'http://a',
  'a/b',
  'a:0',
  'a:70000',
  'a:',
  '[::1',
  '::1]:5',
  '10.',
  '10.0.0',
  '127.1',
  '0x7f.1',
  '1.2.3.4/33',
  '::/129',
  '1.2.3.4/',
  'a@b',
  'ä.example',
  '-a',
  'a-',
  'a*b',
  `${'a'.repeat(64)}.b`,
]) {
  test(`${JSON.stringify(entry)} is no entry`, () => assert.equal(parseNoProxyEntry(entry), undefined))
}

test('whatever stands in NO_PROXY, reading it never throws, and each rule decides for each URL', () => {
  const piece = fc.constantFrom(
    '.',
    '*',
    ':',
    '/',
    '[',
    ']',
    ',',
    ' ',
    'a',
    'corp',
    '10',
    '0',
    '255',
    '::',
    'fd00',
    '443',
    '33',
    '0x7f',
    '\u0000',
    'é',
    '-',
    '_',
    '@',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  )
  const urls = ['https://corp.example', 'http://10.0.0.1:8080', 'https://[fd00::1]', 'https://a.corp'].map(
    (url) => new URL(url),
  )
  fc.assert(
    fc.property(text, (noProxy) => {
      const { rules } = parseNoProxy(noProxy)
      for (const url of urls) assert.equal(typeof isExcepted(url, rules), 'boolean')
    }),
  )
})

test('a name is excepted exactly when it, or a name that it lies below, stands in the list', () => {
  const label = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,5}[a-z0-9])?$/)
  const name = fc.array(label, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(name, fc.array(name, { maxLength: 4 }), (host, listed) => {
      const { rules } = parseNoProxy(listed.map((one) => one.join('.')).join(','))
      const isBelow = listed.some((one) => host.slice(-one.length).join('.') === one.join('.'))
      assert.equal(isExcepted(new URL(`https://${host.join('.')}`), rules), isBelow)
    }),
  )
})
