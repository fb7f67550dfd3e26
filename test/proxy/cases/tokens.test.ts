import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { eventually } from '../../helpers/eventually.ts'
import { digestOf } from '../../helpers/fake-registry.ts'
import { listed, startTestProxy } from '../../helpers/proxy.ts'
import { startTokenServer } from '../../helpers/token-server.ts'
import { BLOB, codeOf, LOOPBACK, MANIFEST, NAME, raw, start, startRawServer } from './kit.ts'

/** A registry that takes any Bearer token, whose token server answers what a test says. */
async function withTokenServer(t: TestContext) {
  const server = await startTokenServer()
  t.after(() => server.close())
  const rig = await start(t, { auth: 'none' }, { realms: [server.origin.origin] })
  rig.proxy.setCredential(NAME, { current: 'right' })
  rig.registry.script = (request, response) => {
    if (request.headers.authorization?.startsWith('Bearer ')) return false
    const challenge = `Bearer realm="${server.realm}",service="s"`
    response.writeHead(401, { 'www-authenticate': challenge, 'content-length': 0 }).end()
    return true
  }
  const answer = (body: string) => {
    server.answer = (_request, response: ServerResponse) => response.end(body)
  }
  const used = () => rig.registry.requests.at(-1)?.headers.authorization
  return { ...rig, server, answer, used }
}

const served: [name: string, body: string, token: string][] = [
  ['only token', '{"token":"one"}', 'one'],
  ['only access_token', '{"access_token":"two"}', 'two'],
  ['both', '{"token":"one","access_token":"two"}', 'two'],
  ['an empty access_token beside a token', '{"token":"one","access_token":""}', 'one'],
]
for (const [name, body, token] of served) {
  test(`case 27: token JSON with ${name} serves the pull with ${token}`, async (t) => {
    const { proxy, answer, used } = await withTokenServer(t)
    answer(body)
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    assert.equal(used(), `Bearer ${token}`)
  })
}

const unusable: [name: string, body: string, code: string][] = [
  ['case 27: neither token nor access_token', '{}', 'TOKEN_MALFORMED'],
  ['case 27: HTML', '<html>login</html>', 'TOKEN_MALFORMED'],
  ['case 27: ten megabytes', `{"token":"${'x'.repeat(10_000_000)}"}`, 'TOKEN_SERVER_FAILED'],
  ['case 28: a token with CRLF', '{"token":"a\\r\\nX-Evil: 1"}', 'TOKEN_MALFORMED'],
  ['case 28: a token with a space', '{"token":"a b"}', 'TOKEN_MALFORMED'],
]
for (const [name, body, code] of unusable) {
  test(`${name} is a 502, and no part of it comes back or goes on`, async (t) => {
    const { registry, proxy, answer } = await withTokenServer(t)
    answer(body)
    const got = await proxy.get(MANIFEST)
    assert.deepEqual([got.status, codeOf(got.body)], [502, code])
    assert.doesNotMatch(got.body.toString(), /html|xxx|Evil/)
    assert.equal(registry.requests.length, 1)
  })
}

const lifetimes: [name: string, expiresIn: string, seconds: number][] = [
  ['missing', '', 60],
  ['0', ',"expires_in":0', 60],
  ['−1', ',"expires_in":-1', 60],
  ['"300"', ',"expires_in":"300"', 300],
  ['1e12', ',"expires_in":1e12', 86_400],
]
for (const [name, expiresIn, seconds] of lifetimes) {
  test(`case 29: expires_in ${name} keeps a token for ${seconds} s, less ten, and no longer`, async (t) => {
    const { proxy, server, answer } = await withTokenServer(t)
    proxy.clock.stop()
    answer(`{"token":"a"${expiresIn}}`)
    await proxy.get(MANIFEST)
    proxy.clock.aheadMs = (seconds - 11) * 1_000
    await proxy.get(MANIFEST)
    assert.equal(server.requests.length, 1)
    proxy.clock.aheadMs = (seconds - 9) * 1_000
    await proxy.get(MANIFEST)
    assert.equal(server.requests.length, 2)
  })
}

const HOUR_MS = 3_600_000
for (const [name, issuedAt] of [
  ['Go’s zero time', '0001-01-01T00:00:00Z'],
  ['in an hour', new Date(Date.now() + HOUR_MS).toISOString()],
  ['a day ago', new Date(Date.now() - 24 * HOUR_MS).toISOString()],
] as const) {
  test(`case 30: a token that was issued at ${name} is used, and used again`, async (t) => {
    const { proxy, server, answer } = await withTokenServer(t)
    answer(`{"token":"a","expires_in":300,"issued_at":"${issuedAt}"}`)
    for (let turn = 0; turn < 3; turn++) assert.equal((await proxy.get(MANIFEST)).status, 200)
    assert.equal(server.requests.length, 1)
  })
}

test('case 31: fifty parallel pulls, cold, make one token request', async (t) => {
  const { proxy, server } = await withTokenServer(t)
  const all = await Promise.all(Array.from({ length: 50 }, () => proxy.get(MANIFEST)))
  assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([200]))
  assert.equal(server.requests.length, 1)
})

test('a token of 40 KiB goes up, and a head of 40 KiB comes down', async (t) => {
  const server = await startTokenServer()
  t.after(() => server.close())
  const token = 'x'.repeat(40_000)
  server.answer = (_request, response) => response.end(JSON.stringify({ token }))
  const registry = await startRawServer(t, (head) =>
    head.includes(`Bearer ${token}`)
      ? `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nWarning: ${'w'.repeat(40_000)}\r\n\r\nok`
      : `HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm="${server.realm}"\r\nContent-Length: 0\r\n\r\n`,
  )
  const proxy = await startTestProxy([
    listed(NAME, registry.origin, { realms: [server.origin.origin], allowAddresses: LOOPBACK }),
  ])
  t.after(() => proxy.close(0))
  proxy.setCredential(NAME, { current: 'right' })
  const { answer } = await raw(proxy.port, `GET ${MANIFEST} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
  assert.match(answer, /^HTTP\/1\.1 200 /)
  assert.match(answer, /warning: w{40000}/i)
})

test('case 34: after a rotation in mid-stream the old token and password are not used, and the stream comes to its end', async (t) => {
  const { registry, proxy, blob, blobPath } = await start(t, { auth: 'bearer' })
  const rest = Promise.withResolvers<void>()
  registry.script = async (request, response) => {
    if (!request.url?.includes('/blobs/') || request.headers.authorization === undefined) return false
    response.writeHead(200, { 'content-length': BLOB.length })
    response.write(BLOB.subarray(0, 1_000))
    await rest.promise
    response.end(BLOB.subarray(1_000))
    return true
  }
  const request = httpRequest({ host: '127.0.0.1', port: proxy.port, path: blobPath, agent: false })
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  const pieces: Buffer[] = []
  answer.on('data', (piece: Buffer) => pieces.push(piece))
  await eventually('the first bytes are here', () => pieces.length > 0)
  const old = registry.requests.flatMap(({ headers }) => headers.authorization ?? [])
  assert.equal(old.length, 2)
  registry.setPassword('new')
  proxy.setCredential(NAME, { current: 'new', previous: 'right' })
  registry.requests.length = 0
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  rest.resolve()
  await once(answer, 'end')
  assert.equal(digestOf(Buffer.concat(pieces)), blob)
  const used = registry.requests.flatMap(({ headers }) => headers.authorization ?? [])
  assert.equal(used.length, 2)
  assert.ok(used.every((one) => !old.includes(one)))
})
