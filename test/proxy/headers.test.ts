import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callerHeaders, upstreamHeaders } from '../../src/proxy/headers.ts'
import { localLink } from '../../src/proxy/link.ts'
import { parsePull } from '../../src/proxy/parse-pull.ts'

const REGISTRY = new URL('https://registry.corp.example/v2/team/app/manifests/1')

test('cases 17 and 18: only listed headers go upstream, whatever Connection names', () => {
  const sent = upstreamHeaders(
    {
      accept: 'application/json',
      authorization: 'Basic c2VjcmV0',
      connection: 'close, Authorization, Range',
      cookie: 'a=b',
      forwarded: 'host=evil',
      host: '127.0.0.1:5050',
      range: 'bytes=1-2',
      'x-forwarded-host': 'evil',
      'transfer-encoding': 'chunked',
      'regcredd-token': 'caller',
    },
    REGISTRY,
  )
  assert.deepEqual(sent, { accept: 'application/json', range: 'bytes=1-2', host: 'registry.corp.example' })
})

test('no challenge, cookie or redirect target reaches the caller, and limits and digests do', () => {
  const pull = parsePull('GET', '/v2/team/app/manifests/1?ns=registry.corp.example', 'docker.io')
  const shown = callerHeaders(
    {
      'www-authenticate': 'Basic realm="x"',
      'set-cookie': ['a=b'],
      location: 'https://store.example/?X-Amz-Signature=abc',
      'alt-svc': 'h3=":443"',
      'strict-transport-security': 'max-age=1',
      'retry-after': '60',
      'ratelimit-remaining': '3;w=21600',
      'content-length': '7',
    },
    pull,
    'sha256:kept',
  )
  assert.deepEqual(shown, {
    'content-length': '7',
    'ratelimit-remaining': '3;w=21600',
    'retry-after': '60',
    'docker-content-digest': 'sha256:kept',
    'docker-distribution-api-version': 'registry/2.0',
    'oci-namespace': 'registry.corp.example',
  })
})

const TAGS = new URL('https://registry.corp.example/v2/team/app/tags/list')
const links: [link: string, target: string, expected: string | undefined][] = [
  [
    '</v2/team/app/tags/list?last=b&n=2>; rel="next"',
    '/v2/team/app/tags/list?n=2&ns=registry.corp.example',
    '</v2/team/app/tags/list?last=b&n=2&ns=registry.corp.example>; rel="next"',
  ],
  [
    '<https://registry.corp.example/v2/team/app/tags/list?last=b>; rel=next',
    '/v2/registry.corp.example/team/app/tags/list',
    '</v2/registry.corp.example/team/app/tags/list?last=b>; rel="next"',
  ],
  [
    '<https://evil.example/v2/team/app/tags/list?last=b>; rel="next"',
    '/v2/team/app/tags/list?ns=registry.corp.example',
    undefined,
  ],
  ['</v2/other/tags/list?last=b>; rel="next"', '/v2/team/app/tags/list?ns=registry.corp.example', undefined],
  ['nonsense', '/v2/team/app/tags/list?ns=registry.corp.example', undefined],
]
for (const [link, target, expected] of links) {
  test(`the link ${link} becomes ${expected}`, () => {
    assert.equal(localLink(link, parsePull('GET', target, 'docker.io'), TAGS), expected)
  })
}
