import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { listed, startTestProxy } from '../../helpers/proxy.ts'
import { MANIFEST, NAME, raw, start, startRawServer } from './kit.ts'

const OUR_CODE = /"detail":\{"code":"[A-Z_]+"\}/

test('whatever bytes a caller sends, he is answered in HTTP, what is refused sends nothing out, and what goes out is clean', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' })
  const target = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          ...[
            '/v2/',
            'team/',
            'app/',
            'manifests/',
            'blobs/',
            'tags/list',
            'referrers/',
            '1',
            '//',
            '/../',
            '%2e%2e',
            '%2f',
            '\\',
          ],
          ...[
            `?ns=${NAME}`,
            '&ns=',
            `${NAME}/`,
            '@',
            '#',
            'sha256:',
            'a'.repeat(64),
            'http://evil/',
            '%0d%0a',
            '*',
            '?n=1&last=%26',
          ],
        ),
        fc.string({ unit: 'binary-ascii', maxLength: 3 }),
      ),
      { maxLength: 8 },
    )
    .map((pieces) => pieces.join(''))
  const line = fc.constantFrom(
    ...[
      'Host: 127.0.0.1',
      'Host: evil',
      'Content-Length: 0',
      'Content-Length: 3',
      'Transfer-Encoding: chunked',
      ' folded',
    ],
    ...[
      'Connection: Authorization',
      'X-Forwarded-Host: evil',
      'Cookie: a=b',
      'Accept: */*',
      'Upgrade: h2c',
      'Expect: 100-continue',
    ],
  )
  const head = fc
    .tuple(
      fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'get', 'G\0T'),
      fc.oneof(target, fc.constant(MANIFEST)),
      fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0'),
      fc.array(line, { maxLength: 4 }),
      fc.constantFrom('\r\n', '\r\n', '\r\n', '\n'),
    )
    .map(([method, path, version, lines, end]) =>
      [`${method} ${path} ${version}`, 'Host: 127.0.0.1', ...lines, 'Connection: close', '', ''].join(end),
    )
  let answered = 0
  await fc.assert(
    fc.asyncProperty(head, async (bytes) => {
      const before = registry.requests.length
      const { answer } = await raw(proxy.port, Buffer.from(bytes, 'latin1'), (text) => /\r\n\r\n/.test(text))
      assert.match(answer, /^HTTP\/1\.1 [2-5]\d\d /)
      const sent = registry.requests.slice(before)
      if (OUR_CODE.test(answer) || /^HTTP\/1\.1 (400|405|408|417|431)/.test(answer)) assert.deepEqual(sent, [])
      for (const { method, url, headers } of sent) {
        assert.match(method, /^(GET|HEAD)$/)
        assert.match(url, /^\/v2\/[\w./:?=&%+*-]*$/)
        assert.doesNotMatch(url, /[?&]ns=|\/\.\.?\/|\/\//)
        assert.equal(headers.host, registry.origin.host)
        assert.deepEqual(
          [headers.cookie, headers['x-forwarded-host'], headers.upgrade],
          [undefined, undefined, undefined],
        )
      }
      if (/^HTTP\/1\.1 200/.test(answer)) answered += 1
    }),
    { numRuns: 400 },
  )
  assert.ok(answered > 10, `${answered} of them were good pulls`)
})

test('whatever bytes a registry sends, the caller is answered or reset, in time, and the password goes nowhere else', async (t) => {
  let bytes = ''
  const server = await startRawServer(t, () => bytes)
  const other = await startRawServer(t, () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
  const limits = { connectTimeoutMs: 500, answerTimeoutMs: 500, idleTimeoutMs: 30_000, maxConnections: 4 }
  const proxy = await startTestProxy([listed(NAME, server.origin, { limits })])
  t.after(() => proxy.close(0))
  const elsewhere = other.origin.origin
  const field = fc.constantFrom(
    ...[
      'Content-Length: 2',
      'Content-Length: 5',
      'Content-Length: -1',
      'Content-Length: 2, 2',
      'Transfer-Encoding: chunked',
    ],
    ...[
      'Transfer-Encoding: chunked, gzip',
      'Connection: keep-alive',
      'Connection: close',
      'Set-Cookie: a=b',
      ' folded',
      'No colon',
    ],
    ...[
      `Location: ${elsewhere}/x`,
      'Location: /v2/',
      'Location: //evil/x',
      'Retry-After: x',
      'Content-Range: bytes 0-0/7',
    ],
    ...['WWW-Authenticate: Basic realm="x"', `WWW-Authenticate: Bearer realm="${elsewhere}/t",service="s"`],
    ...[
      'WWW-Authenticate: Bearer realm="/t"',
      'WWW-Authenticate: Bearer realm="',
      'WWW-Authenticate: Negotiate',
      'X: \0',
    ],
  )
  const answer = fc
    .tuple(
      fc.constantFrom(...['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2', 'ICY', 'HTTP/1.1 ']),
      fc.constantFrom(...[100, 101, 103, 200, 204, 206, 301, 304, 307, 400, 401, 403, 404, 416, 429, 500, 999, 0]),
      fc.array(field, { maxLength: 5 }),
      fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r'),
      fc.constantFrom('', 'ok', '2\r\nok\r\n0\r\n\r\n', 'ffffffffffffffffff\r\n', 'okok'),
    )
    .map(([version, status, fields, end, body]) => `${[`${version} ${status} X`, ...fields, '', ''].join(end)}${body}`)
  const password = 'planted-password'
  await fc.assert(
    fc.asyncProperty(answer, async (given) => {
      bytes = given
      proxy.setCredential(NAME, { current: password })
      const got = await raw(proxy.port, `GET ${MANIFEST} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
      assert.notEqual(got.ended, 'open')
      if (got.answer !== '') assert.match(got.answer, /^HTTP\/1\.1 \d\d\d /)
      assert.doesNotMatch(got.answer, /^(set-cookie|www-authenticate|location):|planted/im)
    }),
    { numRuns: 400 },
  )
  assert.deepEqual(other.heads, [])
  const ended = proxy.ended.filter(({ outcome }) => outcome.code === 'INTERNAL')
  assert.deepEqual(
    ended.map(({ outcome }) => outcome.cause),
    [],
  )
})
