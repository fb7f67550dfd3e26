import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { ociErrorBody } from '../../src/registry/oci-error.ts'
import { originOf, parseOrigin, sameOrigin } from '../../src/registry/origin.ts'
import { matchesPattern } from '../../src/registry/repository-pattern.ts'
import { pingScope, pullScope } from '../../src/registry/scope.ts'

test('the scope asked for is the one repository, to pull, whatever repository the challenge names', () => {
  assert.equal(pullScope('team/app', undefined), 'repository:team/app:pull')
  assert.equal(pullScope('team/app', 'repository:team/app:pull,push'), 'repository:team/app:pull')
  assert.equal(pullScope('team/app', 'repository:user/image:pull'), 'repository:team/app:pull')
  assert.equal(pullScope('team/app', 'repository:a:pull repository:b:push'), 'repository:team/app:pull')
  assert.equal(pullScope('team/app', 'Repository(plugin):a:pull'), 'repository:team/app:pull')
})

test('a scope of another kind is taken as it stands, and an empty one is left out', () => {
  assert.equal(pullScope('team/app', 'aws'), 'aws')
  assert.equal(pullScope('team/app', ''), undefined)
  assert.equal(pullScope('team/app', ' '), undefined)
})

test('where no repository is meant, only a scope of another kind is asked for', () => {
  assert.equal(pingScope('aws'), 'aws')
  for (const asked of [undefined, '', ' ', 'repository:user/image:pull', 'aws repository:a:push']) {
    assert.equal(pingScope(asked), undefined)
  }
})

test('an error is told to registry clients with its OCI code and ours', () => {
  assert.deepEqual(JSON.parse(ociErrorBody(new RegcreddError('REGISTRY_UNLISTED', 'reg.io', { cause: 'secret' }))), {
    errors: [
      {
        code: 'NAME_UNKNOWN',
        message: 'this registry is not listed in the configuration of the proxy: reg.io',
        detail: { code: 'REGISTRY_UNLISTED' },
      },
    ],
  })
})

test('an origin is scheme, host and port', () => {
  assert.equal(originOf(new URL('HTTPS://Reg.io:443/v2/?x#y')), 'https://reg.io')
  assert.ok(sameOrigin(new URL('https://reg.io/a'), new URL('https://REG.io:443/b')))
  for (const other of ['http://reg.io', 'https://reg.io:8443', 'https://a.reg.io', 'https://reg.io.']) {
    assert.ok(!sameOrigin(new URL('https://reg.io'), new URL(other)), other)
  }
})

test('a configured origin holds nothing but scheme, host and port', () => {
  assert.equal(originOf(parseOrigin('https://Auth.corp.example:8443/')), 'https://auth.corp.example:8443')
  const invalid = [
    'auth.corp.example',
    'ftp://a',
    'https://',
    'https://u@a',
    'https://a/b',
    'https://a?b',
    'https://a#b',
  ]
  for (const text of [...invalid, 'https://a:0', 'https://a:99999', 'https://a\n', 'https://a\\b', 'https://%61']) {
    assert.throws(() => parseOrigin(text), { code: 'CONFIG_INVALID' }, text)
  }
})

test('one star stays within a segment, two stars do not', () => {
  const yes = [
    ['team/app', 'team/app'],
    ['team/app', 'team/*'],
    ['team/app', '*/app'],
    ['team/app', 't*m/*p'],
    ['team/app', '**'],
    ['team/a/b', 'team/**'],
    ['team/a/b', '**/b'],
    ['a.b', 'a.b'],
    ['app', 'app*'],
  ] as const
  const no = [
    ['team/a/b', 'team/*'],
    ['team/app', '*'],
    ['team/app', 'team'],
    ['team/app', 'team/ap'],
    ['myteam/app', 'team/*'],
    ['axb', 'a.b'],
    ['team', 'team/**'],
  ] as const
  for (const [repository, pattern] of yes) assert.ok(matchesPattern(repository, [pattern]), `${repository} ${pattern}`)
  for (const [repository, pattern] of no) assert.ok(!matchesPattern(repository, [pattern]), `${repository} ${pattern}`)
  assert.ok(matchesPattern('b', ['a', 'b']))
  assert.ok(!matchesPattern('b', []))
})

test('a pattern decides as the regular expression that it abbreviates', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '**'), maxLength: 5 })
  fc.assert(
    fc.property(text, pattern, (repository, globs) => {
      const expression = globs.replace(/\*\*|\*/g, (stars) => (stars === '**' ? '.*' : '[^/]*'))
      assert.equal(matchesPattern(repository, [globs]), new RegExp(`^${expression}$`).test(repository))
    }),
  )
})

test('a hostile pattern costs no more than its length', () => {
  // Not the clock, which runs on while others have the machine.
  const start = process.cpuUsage()
  assert.ok(!matchesPattern('a'.repeat(255), [`${'*a'.repeat(100)}b`, `${'**a'.repeat(100)}b`]))
  assert.ok(process.cpuUsage(start).user < 500_000)
})
