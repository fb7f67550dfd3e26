import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { eventually } from '../../helpers/eventually.ts'
import { codeOf, MANIFEST, NAME, raw, start } from './kit.ts'

const HOST = 'Host: 127.0.0.1\r\n'
const GET = `GET ${MANIFEST} HTTP/1.1\r\n`

const malformed: [name: string, bytes: string | Buffer, begins: string][] = [
  ['case 13: two Host headers', `${GET}${HOST}${HOST}\r\n`, 'HTTP/1.1 400'],
  ['case 13: two Host headers that differ', `${GET}${HOST}Host: evil.com\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 13: no Host header', `${GET}\r\n`, 'HTTP/1.1 400'],
  ['case 13: no Host header in HTTP/1.0', `GET ${MANIFEST} HTTP/1.0\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 14: a foreign Host', `${GET}Host: evil.com\r\n\r\n`, 'HTTP/1.1 403'],
  ['case 14: a Host that begins like loopback', `${GET}Host: 127.0.0.1.evil.com\r\n\r\n`, 'HTTP/1.1 403'],
  ['case 14: a Host with a user', `${GET}Host: 127.0.0.1@evil.com\r\n\r\n`, 'HTTP/1.1 403'],
  [
    'case 15: Content-Length with Transfer-Encoding',
    `${GET}${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'HTTP/1.1 400',
  ],
  ['case 15: two lengths', `${GET}${HOST}Content-Length: 0\r\nContent-Length: 1\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 15: bare line feeds', `GET ${MANIFEST} HTTP/1.1\nHost: 127.0.0.1\n\n`, 'HTTP/1.1 400'],
  ['case 15: one bare line feed', `${GET}${HOST}Accept: */*\nX: y\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 15: a bare carriage return', `${GET}${HOST}Accept: a\rX: y\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 15: a folded line', `${GET}${HOST}Accept: a\r\n b\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 15: a space before the colon', `${GET}${HOST}Accept : a\r\n\r\n`, 'HTTP/1.1 400'],
  ['case 16: a TLS ClientHello', Buffer.from('16030100a5010000a10303', 'hex'), 'HTTP/1.1 400'],
  ['CONNECT', `CONNECT evil.com:443 HTTP/1.1\r\n${HOST}\r\n`, 'HTTP/1.1 405'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'HTTP/1.1 400'],
  ['a head of 100 kB', `${GET}${HOST}X: ${'x'.repeat(100_000)}\r\n\r\n`, 'HTTP/1.1 431'],
]
for (const [name, bytes, begins] of malformed) {
  test(`${name} is answered with ${begins}, and nothing goes out`, async (t) => {
    const { registry, proxy } = await start(t, { auth: 'none' })
    const { answer, ended } = await raw(proxy.port, bytes, (text) => text.endsWith('}]}'))
    assert.equal(answer.slice(0, begins.length), begins)
    // Where the bytes cannot be read for certain, nothing more is read of them.
    if (name.startsWith('case 15')) assert.equal(ended, 'closed')
    assert.equal(await registry.openConnections(), 0)
  })
}

for (const auth of ['basic', 'bearer'] as const) {
  test(`case 17: the Authorization of a caller never goes to a registry that asks for ${auth}, nor to its token server`, async (t) => {
    const { registry, proxy } = await start(t, { auth })
    for (const authorization of ['Basic cG9kOnBvZC1zZWNyZXQ=', 'Bearer pod-token']) {
      const got = await proxy.get(MANIFEST, {
        headers: { authorization, cookie: 'pod-secret', 'proxy-authorization': authorization },
      })
      assert.equal(got.status, 200)
    }
    assert.ok(registry.requests.length >= 3)
    assert.doesNotMatch(JSON.stringify(registry.requests), /cG9k|pod-token|pod-secret/)
  })
}

test('case 18: whatever Connection names, our Authorization and the caller’s Range go upstream', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'basic' })
  const { answer } = await raw(
    proxy.port,
    `GET ${blobPath} HTTP/1.1\r\n${HOST}Connection: close, Authorization, Range, Host\r\nRange: bytes=0-9\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: host=evil\r\n\r\n`,
  )
  assert.match(answer, /^HTTP\/1\.1 206 /)
  const { headers } = registry.requests.at(-1) ?? assert.fail()
  assert.match(headers.authorization ?? '', /^Basic /)
  assert.deepEqual([headers.range, headers.host], ['bytes=0-9', registry.origin.host])
  assert.ok(!('x-forwarded-for' in headers) && !('forwarded' in headers))
  assert.doesNotMatch(registry.requests.map(({ url }) => url).join(), /ns=/)
})

for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']) {
  test(`case 19: ${method} is a 405 UNSUPPORTED that says what is allowed, and nothing goes out`, async (t) => {
    const { registry, proxy } = await start(t, { auth: 'none' })
    const got = await proxy.get(`/v2/team/app/blobs/uploads/?ns=${NAME}`, { method })
    assert.deepEqual([got.status, codeOf(got.body), got.headers['allow']], [405, 'METHOD_UNSUPPORTED', 'GET, HEAD'])
    assert.equal(JSON.parse(got.body.toString()).errors[0].code, 'UNSUPPORTED')
    assert.equal(await registry.openConnections(), 0)
  })
}

test('case 20: /v2/ is 200 while the registry is down, and a pull is a 502 with a reason', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' })
  await registry.close()
  assert.equal((await proxy.get('/v2/')).status, 200)
  assert.equal((await proxy.get(`/v2/?ns=${NAME}`)).status, 200)
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, codeOf(got.body)], [502, 'UPSTREAM_UNREACHABLE'])
  assert.match(got.body.toString(), /nothing listens there/)
})

const smuggled = `GET /v2/?smuggled HTTP/1.1\r\n${HOST}\r\n`
const bodies: [name: string, bytes: string, status: number][] = [
  ['a GET with a body', `${GET}${HOST}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`, 400],
  [
    'a GET with a chunked body',
    `${GET}${HOST}Transfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    400,
  ],
  [
    'a POST with a body',
    `POST /v2/a/blobs/uploads/ HTTP/1.1\r\n${HOST}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    405,
  ],
  ['a body that does not come', `${GET}${HOST}Content-Length: 1000000000\r\n\r\n`, 400],
  [
    'a body that waits for an invitation',
    `PUT /v2/a/manifests/1 HTTP/1.1\r\n${HOST}Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n`,
    405,
  ],
]
for (const [name, bytes, expected] of bodies) {
  test(`${name} is refused once, the connection is closed, and no part of it is taken for a request`, async (t) => {
    const { registry, proxy } = await start(t, { auth: 'none' })
    const { answer, ended } = await raw(proxy.port, bytes)
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${expected} `))
    assert.match(answer, /\r\nconnection: close\r\n/i)
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1)
    assert.notEqual(ended, 'open')
    assert.equal(proxy.ended.length, 1)
    assert.equal(await registry.openConnections(), 0)
  })
}

test('a refused request without a body leaves the connection for the next one', async (t) => {
  const { proxy } = await start(t, { auth: 'none' })
  const { answer } = await raw(
    proxy.port,
    `GET /v2/team/app/manifests/1?ns=other.example HTTP/1.1\r\n${HOST}\r\nHEAD ${MANIFEST} HTTP/1.1\r\n${HOST}\r\n`,
    (text) => /HTTP\/1\.1 200/.test(text),
  )
  assert.match(answer, /^HTTP\/1\.1 404 [\s\S]*HTTP\/1\.1 200 /)
})

test('an Upgrade is not taken up, and the pull is served', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' })
  const { answer } = await raw(proxy.port, `${GET}${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`, (text) =>
    text.includes('schemaVersion'),
  )
  assert.match(answer, /^HTTP\/1\.1 200 /)
  assert.equal(registry.requests.at(-1)?.headers.upgrade, undefined)
})

test('connections that send no whole head do not starve a pull, and are closed in time', async (t) => {
  const limits = { headersTimeoutMs: 1_000, maxConnections: 50 }
  const { proxy } = await start(t, { auth: 'none' }, {}, undefined, limits)
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let place = 0; place < 500; place++) {
    const socket = connect(proxy.port, '127.0.0.1').on('error', () => undefined)
    sockets.push(socket)
    socket.write('GET /v2/ HTTP/1.1\r\nHost: 127')
    if (place % 50 === 0) await once(socket, 'connect')
  }
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  assert.ok((await proxy.connections()) <= 50)
  await eventually('all are closed', async () => (await proxy.connections()) === 0, 20_000)
})

test('connections at work are not closed for new ones', async (t) => {
  const limits = { headersTimeoutMs: 1_000, maxConnections: 2 }
  const { registry, proxy } = await start(t, { auth: 'none' }, {}, undefined, limits)
  const held = Promise.withResolvers<void>()
  registry.script = async (request) => {
    if (request.url?.includes('/manifests/held')) await held.promise
    return false
  }
  registry.addManifest('team/app', 'held', { schemaVersion: 2 })
  const working = [1, 2].map(() => proxy.get(`/v2/team/app/manifests/held?ns=${NAME}`))
  await eventually('both are at work', () => proxy.begun.length === 2)
  await assert.rejects(proxy.get(MANIFEST))
  held.resolve()
  assert.deepEqual(
    (await Promise.all(working)).map((got) => got.status),
    [200, 200],
  )
})
