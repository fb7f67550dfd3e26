import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { parsePull } from '../../src/proxy/parse-pull.ts'
import { upstreamPath } from '../../src/proxy/pull.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const parse = (target: string, method = 'GET') => parsePull(method, target, 'docker.io')
const refusal = (code: string) => (error: unknown) => error instanceof RegcreddError && error.code === code

const accepted: [target: string, host: string, path: string][] = [
  ['/v2/team/app/manifests/1?ns=registry.corp.example', 'registry.corp.example', '/v2/team/app/manifests/1'],
  ['/v2/team/app/manifests/1?ns=REG.example.com.%3A443', 'reg.example.com', '/v2/team/app/manifests/1'],
  ['/v2/team/app/manifests/1?ns=reg%3A5000', 'reg:5000', '/v2/team/app/manifests/1'],
  ['/v2/library/nginx/manifests/latest?ns=index.docker.io', 'docker.io', '/v2/library/nginx/manifests/latest'],
  ['/v2/library/nginx/manifests/latest?ns=registry-1.docker.io', 'docker.io', '/v2/library/nginx/manifests/latest'],
  ['/v2/library/nginx/manifests/latest', 'docker.io', '/v2/library/nginx/manifests/latest'],
  ['/v2/registry.corp.example/team/app/manifests/1', 'registry.corp.example', '/v2/team/app/manifests/1'],
  ['/v2/localhost/app/manifests/1', 'localhost', '/v2/app/manifests/1'],
  ['/v2/localhost:5000/app/manifests/1', 'localhost:5000', '/v2/app/manifests/1'],
  ['/v2/reg.corp.example_5000/app/manifests/1', 'reg.corp.example:5000', '/v2/app/manifests/1'],
  ['/v2/foo.bar/app/manifests/1?ns=registry.corp.example', 'registry.corp.example', '/v2/foo.bar/app/manifests/1'],
  [`/v2/manifests/blobs/blobs/${DIGEST}`, 'docker.io', `/v2/manifests/blobs/blobs/${DIGEST}`],
  [`/v2/a/blobs/sha256%3A${'a'.repeat(64)}`, 'docker.io', `/v2/a/blobs/${DIGEST}`],
  ['/v2/a/tags/list?n=10&last=x%26y&evil=1', 'docker.io', '/v2/a/tags/list?n=10&last=x%26y'],
  [`/v2/a/referrers/${DIGEST}?artifactType=a%2Fb&n=1`, 'docker.io', `/v2/a/referrers/${DIGEST}?artifactType=a%2Fb`],
]
for (const [target, host, path] of accepted) {
  test(`${target} asks ${host} for ${path}`, () => {
    const pull = parse(target)
    assert.deepEqual({ host: pull.host, path: upstreamPath(pull) }, { host, path })
  })
}

const refused: [target: string, code: string, why: string][] = [
  ['/v2/a/manifests/1?ns=a.example&ns=b.example', 'NAMESPACE_INVALID', 'case 2: ns twice'],
  ['/v2/a/manifests/1?ns=good.com@evil.com', 'NAMESPACE_INVALID', 'case 4: userinfo in ns'],
  ['/v2/a/manifests/1?ns=good.com%23x', 'NAMESPACE_INVALID', 'case 4: fragment in ns'],
  ['/v2/a/manifests/1?ns=good.com%0d%0aX', 'NAMESPACE_INVALID', 'case 4: CRLF in ns'],
  ['/v2/a/manifests/1?ns=http%3A%2F%2Fevil', 'NAMESPACE_INVALID', 'a URL as ns'],
  ['/v2/a/manifests/1?ns=', 'NAMESPACE_INVALID', 'an empty ns'],
  ['http://evil/v2/', 'REQUEST_MALFORMED', 'case 8: absolute-form target'],
  ['//evil/v2/', 'REQUEST_MALFORMED', 'case 9: a target that begins with //'],
  ['/v2/a/../../x', 'REQUEST_MALFORMED', 'case 10: dot segments'],
  ['/v2/%2e%2e/x/manifests/1', 'REQUEST_MALFORMED', 'case 10: escaped dots'],
  ['/v2/a%2fb/manifests/1', 'REQUEST_MALFORMED', 'case 10: an escaped slash'],
  ['/v2/a\\b/manifests/1', 'REQUEST_MALFORMED', 'case 10: a backslash'],
  ['/v2/a\0b/manifests/1', 'REQUEST_MALFORMED', 'case 10: NUL'],
  ['/v2/a/manifests/sha256:abc', 'DIGEST_INVALID', 'case 12: a malformed digest'],
  ['/v2/a/blobs/latest', 'DIGEST_INVALID', 'a blob by tag'],
  ['/v2/a/manifests/-x', 'TAG_INVALID', 'a tag that begins with a dash'],
  ['/v2/Team/manifests/1', 'NAME_INVALID', 'upper case in a name'],
  ['/v2//a/manifests/1', 'NAME_INVALID', 'an empty segment'],
  ['/v2/_catalog', 'PATH_UNKNOWN', 'the catalog'],
  ['/v1/a', 'PATH_UNKNOWN', 'another version of the API'],
  [`/${'a'.repeat(5000)}`, 'REQUEST_MALFORMED', 'an endless target'],
]
for (const [target, code, why] of refused) {
  test(`${why} is refused as ${code}`, () => assert.throws(() => parse(target), refusal(code)))
}

for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'get']) {
  test(`case 19: ${method} is refused`, () => assert.throws(() => parse('/v2/', method), refusal('METHOD_UNSUPPORTED')))
}

test('no target makes the parser throw anything but a coded error, and what it lets through is a clean path', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '/',
      '/v2/',
      'a',
      '..',
      '%2f',
      '?ns=',
      'manifests/',
      'blobs/',
      '@',
      ':',
      '\r\n',
      'sha256:',
      'reg.io',
      '_5000',
      '//',
      '#',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        const path = upstreamPath(parse(pieces.join('')))
        assert.equal(new URL(path, 'https://registry.example').origin, 'https://registry.example')
        assert.match(path, /^\/v2\/[\w./:?=&%+*-]*$/)
        assert.doesNotMatch(path.split('?')[0] ?? '', /\/\/|\/\.\.?(\/|$)/)
      } catch (thrown) {
        assert.ok(thrown instanceof RegcreddError, String(thrown))
      }
    }),
    { numRuns: 5_000 },
  )
})
