import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { createLogger } from '../../../src/log.ts'
import { createMetrics } from '../../../src/metrics.ts'
import { createPullReport } from '../../../src/pull-report.ts'
import { startFakeRegistry } from '../../helpers/fake-registry.ts'
import { listed, startTestProxy } from '../../helpers/proxy.ts'
import { startTokenServer } from '../../helpers/token-server.ts'
import { BLOB, codeOf, LOOPBACK, MANIFEST, NAME, start, startRawServer } from './kit.ts'

test('case 40: a 429 with bare line feeds, as the Hub has sent, is a clean 502', async (t) => {
  const server = await startRawServer(t, () => 'HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\n\n')
  const proxy = await startTestProxy([listed(NAME, server.origin)])
  t.after(() => proxy.close(0))
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, codeOf(got.body)], [502, 'UPSTREAM_MALFORMED'])
})

for (const [name, headerAt, seconds] of [
  ['in seconds', () => '60', 60],
  ['as a date', (nowMs: number) => new Date(nowMs + 60_000).toUTCString(), 60],
  ['absent', () => undefined, 5],
] as const) {
  test(`case 40: after a 429 with Retry-After ${name} five instant retries are told so and do not reach the registry`, async (t) => {
    const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
    proxy.clock.stop()
    const header = headerAt(Date.now())
    registry.script = (request, response) => {
      if (request.url?.includes('/blobs/')) return false
      const wait = header === undefined ? {} : { 'retry-after': header }
      response.writeHead(429, { ...wait, 'content-length': 0 }).end()
      return true
    }
    const first = await proxy.get(MANIFEST)
    assert.deepEqual([first.status, first.headers['retry-after']], [429, header])
    for (let retry = 0; retry < 5; retry++) {
      const got = await proxy.get(MANIFEST)
      assert.deepEqual([got.status, codeOf(got.body)], [429, 'TOO_MANY_REQUESTS'])
      assert.equal(JSON.parse(got.body.toString()).errors[0].code, 'TOOMANYREQUESTS')
      const told = Number(got.headers['retry-after'])
      assert.ok(told <= seconds && told >= seconds - 2, `${told} s`)
    }
    assert.equal(registry.requests.length, 1)
    assert.equal((await proxy.get(blobPath)).status, 200, 'blobs of pulls under way are another matter')
    registry.script = undefined
    proxy.clock.aheadMs = seconds * 1_000
    assert.equal((await proxy.get(MANIFEST)).status, 200)
  })
}

test('case 40: a 429 of the token server is remembered for those who need a token', async (t) => {
  const server = await startTokenServer()
  t.after(() => server.close())
  const { registry, proxy } = await start(
    t,
    { auth: 'bearer', realmOrigin: server.origin.origin },
    { realms: [server.origin.origin] },
  )
  server.answer = (_request, response) => response.writeHead(429, { 'retry-after': '30' }).end()
  proxy.clock.stop()
  for (let turn = 0; turn < 5; turn++) {
    const got = await proxy.get(MANIFEST)
    assert.deepEqual([got.status, codeOf(got.body), got.headers['retry-after']], [429, 'TOO_MANY_REQUESTS', '30'])
  }
  assert.equal(server.requests.length, 1)
  assert.ok(registry.requests.length <= 5)
})

test('a 429 of a store is not the registry’s', async (t) => {
  const store = await startFakeRegistry({ auth: 'none' })
  t.after(() => store.close())
  store.script = (_request, response) => {
    response.writeHead(429, { 'retry-after': '60', 'content-length': 0 }).end()
    return true
  }
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  registry.script = (request, response) => {
    if (!request.url?.includes('/blobs/')) return false
    response.writeHead(307, { location: `${store.origin.origin}/x`, 'content-length': 0 }).end()
    return true
  }
  for (let turn = 0; turn < 2; turn++) assert.equal((await proxy.get(blobPath)).status, 429)
  assert.equal(store.requests.length, 2)
})

test('the limits that the Hub tells come to the caller and into the exchange', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' })
  registry.script = (_request, response) => {
    response.setHeader('ratelimit-limit', '100;w=21600')
    response.setHeader('ratelimit-remaining', '76;w=21600')
    return false
  }
  const got = await proxy.get(MANIFEST)
  assert.equal(got.headers['ratelimit-remaining'], '76;w=21600')
  assert.deepEqual(proxy.ended[0]?.exchange.rateLimit, { limit: 100, remaining: 76 })
})

const logins = (requests: { headers: { authorization?: string | undefined } }[]) =>
  requests.filter(({ headers }) => headers.authorization?.startsWith('Basic ')).length

for (const auth of ['basic', 'bearer'] as const) {
  test(`a password that a registry of ${auth} refuses is sent once, and pulls are told until when it is held back, without a request`, async (t) => {
    const { registry, proxy, blobPath } = await start(t, { auth })
    proxy.setCredential(NAME, { current: 'wrong' })
    const all = await Promise.all(Array.from({ length: 20 }, () => proxy.get(MANIFEST)))
    assert.deepEqual(new Set(all.map(({ body }) => codeOf(body))), new Set(['CREDENTIAL_REJECTED']))
    assert.equal(logins(registry.requests), 1)
    registry.requests.length = 0
    const got = await proxy.get(blobPath)
    assert.deepEqual([got.status, codeOf(got.body)], [403, 'CREDENTIAL_REJECTED'])
    assert.match(got.body.toString(), /not tried again before \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, unless it is replaced/)
    assert.equal(registry.requests.length, 0)
    proxy.clock.aheadMs = 10_000
    await Promise.all(Array.from({ length: 20 }, () => proxy.get(MANIFEST)))
    assert.equal(logins(registry.requests), 1, 'after 10 s it is tried once')
    proxy.clock.aheadMs = 25_000
    registry.requests.length = 0
    await proxy.get(MANIFEST)
    assert.equal(registry.requests.length, 0, 'and then held back for 20 s')
    proxy.setCredential(NAME, { current: 'right' })
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    assert.deepEqual(proxy.breaker.held(), [])
  })

  test(`when CURRENT is refused PENDING serves a registry of ${auth} and is tried first from then on, and no pull fails at the change`, async (t) => {
    const { registry, proxy } = await start(t, { auth })
    proxy.setCredential(NAME, { current: 'right', pending: 'new' })
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    registry.setPassword('new')
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    registry.requests.length = 0
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    assert.equal(registry.requests.length, 1)
  })

  test(`twenty pulls at once at the change of a password at a registry of ${auth} are all served`, async (t) => {
    const { registry, proxy } = await start(t, { auth })
    proxy.setCredential(NAME, { current: 'right', pending: 'new' })
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    registry.setPassword('new')
    const all = await Promise.all(Array.from({ length: 20 }, () => proxy.get(MANIFEST)))
    assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([200]))
  })
}

test('a token that is still good serves on while its password is held back', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'bearer' })
  registry.addManifest('team/other', '1', { schemaVersion: 2 })
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  registry.script = (request, response) => {
    if (!request.url?.startsWith('/token')) return false
    response.writeHead(401, { 'content-length': 0 }).end()
    return true
  }
  for (const repository of ['other', 'third']) await proxy.get(`/v2/team/${repository}/manifests/1?ns=${NAME}`)
  assert.equal(proxy.breaker.held().length, 1)
  assert.equal((await proxy.get(MANIFEST)).status, 200)
})

test('a repository that the account may not read holds back nothing but itself', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'bearer' })
  registry.script = (request, response) => {
    if (!request.url?.startsWith('/token') || !request.url.includes('secret')) return false
    response.writeHead(403, { 'content-length': 0 }).end()
    return true
  }
  for (let turn = 0; turn < 5; turn++) {
    const got = await proxy.get(`/v2/secret/app/manifests/1?ns=${NAME}`)
    assert.equal(got.status, 403)
  }
  assert.equal(logins(registry.requests), 1)
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  assert.deepEqual(proxy.breaker.held(), [])
})

test('case 40: no password, token, realm query or signed URL is in a log line, whatever fails', async (t) => {
  const lines: string[] = []
  const stream = new Writable({
    write(piece, _encoding, done) {
      lines.push(String(piece))
      done()
    },
  })
  const metrics = createMetrics({ version: '0', registries: [NAME] })
  const report = createPullReport({
    record: async () => undefined,
    refusals: { note: () => undefined, close: () => undefined },
    log: createLogger({ level: 'debug', stream }),
    metrics,
    nowMs: () => performance.now(),
  })
  const password = 'planted-password'
  const { registry, proxy, blobPath } = await start(t, { auth: 'bearer', password }, { allowAddresses: LOOPBACK })
  proxy.setCredential(NAME, { current: password })
  registry.addBlob(BLOB)
  const token = () => registry.requests.flatMap(({ headers }) => headers.authorization?.replace('Bearer ', '') ?? [])
  await proxy.get(MANIFEST)
  for (const location of [
    'http://127.0.0.1:1/x?X-Amz-Signature=planted-signature',
    'file:///x?X-Amz-Signature=planted-signature',
    'http://planted-user:x@127.0.0.1/x?X-Amz-Signature=planted-signature',
  ]) {
    registry.script = (request, response) => {
      if (!request.url?.includes('/blobs/')) return false
      response.writeHead(307, { location, 'content-length': 0 }).end()
      return true
    }
    assert.equal((await proxy.get(blobPath)).status, 502)
  }
  registry.script = (_request, response) => {
    const challenge = 'Bearer realm="https://evil.example/t?planted-query=1",service="s"'
    response.writeHead(401, { 'www-authenticate': challenge, 'content-length': 0 }).end()
    return true
  }
  assert.equal((await proxy.get(MANIFEST)).status, 502)
  for (const { exchange, outcome } of proxy.ended) report.ended(exchange, outcome)
  assert.equal(lines.length, 5)
  assert.match(lines.join(''), /REALM_REFUSED/)
  for (const secret of ['planted', Buffer.from(`ci:${password}`).toString('base64'), ...token()])
    assert.ok(!lines.join('').includes(secret), secret)
})
