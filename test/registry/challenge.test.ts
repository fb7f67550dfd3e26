import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Challenge, chooseChallenge, parseChallenges } from '../../src/registry/challenge.ts'

const bearer = (realm: string, rest: { service?: string; scope?: string; error?: string } = {}): Challenge => ({
  scheme: 'bearer',
  realm,
  service: rest.service,
  scope: rest.scope,
  error: rest.error,
})
const basic = (realm?: string): Challenge => ({ scheme: 'basic', realm })

const cases: [name: string, lines: string[], expected: Challenge[]][] = [
  [
    'the Hub',
    ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"'],
    [bearer('https://auth.docker.io/token', { service: 'registry.docker.io', scope: 'repository:library/x:pull' })],
  ],
  [
    'case 21: BASIC and Bearer in one line',
    ['BASIC realm="r", Bearer realm="https://a/t"'],
    [basic('r'), bearer('https://a/t')],
  ],
  ['two lines', ['Bearer realm="https://a/t"', 'Basic realm="r"'], [bearer('https://a/t'), basic('r')]],
  [
    'case 22: a comma in quotes is data',
    ['Bearer realm="https://a/t",scope="repository:a:pull,push"'],
    [bearer('https://a/t', { scope: 'repository:a:pull,push' })],
  ],
  ['quoted pairs', ['Basic realm="a \\"b\\" \\\\c"'], [basic('a "b" \\c')]],
  ['an empty scope', ['bearer realm="https://a/t",SCOPE=""'], [bearer('https://a/t', { scope: '' })]],
  [
    'values without quotes',
    ['Bearer realm=https://a:5001/t,service=x/y:z'],
    [bearer('https://a:5001/t', { service: 'x/y:z' })],
  ],
  [
    'spaces around the equals sign',
    ['Bearer realm = "https://a/t" , service\t=x'],
    [bearer('https://a/t', { service: 'x' })],
  ],
  [
    'an insufficient scope',
    ['Bearer realm="https://a/t",error="insufficient_scope"'],
    [bearer('https://a/t', { error: 'insufficient_scope' })],
  ],
  ['schemes of others', ['Negotiate, Negotiate YWJj==, Digest realm="d", nonce="n", Basic realm="r"'], [basic('r')]],
  ['a challenge inside a quoted value', ['Digest realm="x, Bearer realm=\\"https://evil/t\\""'], []],
  ['a quote left open', ['Basic realm="r", Bearer realm="https://a/t,service=x'], [basic('r')]],
  ['a quote that ends in mid-value', ['Bearer realm="https://a"evil/t"'], []],
  ['a quote that begins in mid-value', ['Bearer realm=https://a"x"'], []],
  ['realm twice', ['Bearer realm="https://a/t",realm="https://b/t", Basic realm="r"'], [basic('r')]],
  ['Bearer without realm', ['Bearer service="x"', 'Bearer realm=""', 'Bearer'], []],
  ['Basic without realm', ['Basic'], [basic()]],
  ['nothing', ['', ' ,, ', '=', '"'], []],
  ['8 KiB and more', [`Bearer realm="https://a/${'x'.repeat(8192)}"`], []],
  [
    'more than 8 KiB in all lines',
    ['Basic realm="r"', `X ${'y'.repeat(8190)}`, 'Bearer realm="https://a/t"'],
    [basic('r')],
  ],
]

for (const [name, lines, expected] of cases) {
  test(`challenges: ${name}`, () => assert.deepEqual(parseChallenges(lines), expected))
}

test('Bearer is chosen before Basic, and nothing where neither is offered', () => {
  assert.deepEqual(
    chooseChallenge(parseChallenges(['Basic realm="r", Bearer realm="https://a/t"'])),
    bearer('https://a/t'),
  )
  assert.deepEqual(chooseChallenge(parseChallenges(['Digest realm="d", Basic realm="r"'])), basic('r'))
  assert.equal(chooseChallenge(parseChallenges(['Negotiate'])), undefined)
})

test('no header makes the parser throw', () => {
  const headerish = fc.string({
    unit: fc.constantFrom('Bearer', 'Basic', 'realm', '=', '"', '\\', ',', ' ', '\t', 'a'),
    maxLength: 60,
  })
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), headerish), { maxLength: 4 }), (lines) => {
      for (const challenge of parseChallenges(lines)) assert.ok(challenge.scheme === 'basic' || challenge.realm !== '')
    }),
  )
})

test('a challenge that is printed and read again is the same, whatever its values hold', () => {
  const quoted = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`
  const value = fc.string({ unit: 'grapheme-ascii', maxLength: 30 })
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 }),
      value,
      value,
      (realm, service, scope) => {
        const line = `Bearer realm=${quoted(realm)},service=${quoted(service)}, scope=${quoted(scope)}, Basic realm="r"`
        assert.deepEqual(parseChallenges([line]), [bearer(realm, { service, scope }), basic('r')])
      },
    ),
  )
})

test('long hostile headers take no more than linear time', () => {
  // Not the clock, which runs on while others have the machine.
  const start = process.cpuUsage()
  for (const piece of ['a=', '"\\', 'a ', ',', '=,', 'a="",', '\\"', 'Bearer a ']) {
    parseChallenges([piece.repeat(8192 / piece.length), `Basic realm="${piece}`])
  }
  assert.ok(process.cpuUsage(start).user < 500_000)
})
