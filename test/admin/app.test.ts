import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { test } from 'node:test'
import { catalogue, RegcreddError } from '../../src/errors.ts'
import { sample } from '../keychain/sample.ts'
import { createDesk, logIn, OTHER, PATH } from './kit.ts'

test('every listed registry is told with its credential, which holds no secret', async () => {
  const desk = createDesk()
  await logIn(desk)
  const answer = desk.heard(await desk.ask.get('/v1/registries').expect(200))
  const createdAt = desk.bench.time.now().toISOString()
  assert.deepEqual(answer.body, {
    registries: [
      {
        host: 'registry.corp.example/team',
        upstream: 'https://registry.corp.example',
        credential: { username: 'ci', version: 'v1', seq: 1, createdAt, pending: false },
        mode: 'required',
        listed: true,
      },
      { host: OTHER, upstream: 'https://ghcr.example', credential: null, mode: 'optional', listed: true },
    ],
    complete: true,
  })
  assert.equal(answer.headers['cache-control'], 'no-store')
  desk.assertSilent('old')
})

test('one registry is found by its name, with its slash percent-encoded and in any spelling that the configuration knows', async () => {
  const desk = createDesk()
  const answer = await desk.ask.get('/v1/registries/Registry.Corp.Example%2Fteam').expect(200)
  assert.equal(answer.body.host, 'registry.corp.example/team')
  await desk.ask.get('/v1/registries/other.example').expect(404, /REGISTRY_UNLISTED/)
})

test('a credential whose registry is no longer listed is shown as that, in the list and by its name', async () => {
  const { ask, bench } = createDesk()
  await bench.keychain.update('gone.example', () => sample('gone.example', 'old'))
  const { body } = await ask.get('/v1/registries').expect(200)
  const gone = body.registries.find(({ host }: { host: string }) => host === 'gone.example')
  assert.partialDeepStrictEqual(gone, { upstream: null, mode: null, listed: false })
  assert.equal(typeof gone.credential.username, 'string')
  assert.deepEqual((await ask.get('/v1/registries/gone.example').expect(200)).body, gone)
})

test('while the keychain cannot be read, the list of what is known says that it may lack something', async () => {
  const { ask } = createDesk({ admin: { credentialKeys: () => Promise.reject(new RegcreddError('KEYCHAIN_LOCKED')) } })
  assert.partialDeepStrictEqual((await ask.get('/v1/registries').expect(200)).body, { complete: false })
})

test('a keychain that cannot be read is 503 and never "no credential"', async () => {
  const desk = createDesk({ admin: { credential: () => Promise.reject(new RegcreddError('KEYCHAIN_LOCKED')) } })
  const answer = await desk.ask.get('/v1/registries').expect(503)
  assert.equal(answer.body.code, 'KEYCHAIN_LOCKED')
})

test('an error is an RFC 9457 problem with our code', async () => {
  const { ask } = createDesk()
  const answer = await ask
    .get('/v1/nothing')
    .expect(404)
    .expect('Content-Type', /^application\/problem\+json/)
  assert.deepEqual(answer.body, {
    type: 'urn:regcredd:error:NOT_FOUND',
    title: catalogue.NOT_FOUND.message,
    status: 404,
    detail: catalogue.NOT_FOUND.message,
    code: 'NOT_FOUND',
  })
})

test('a method that a resource does not know is answered 405 with Allow', async () => {
  const { ask } = createDesk()
  for (const [path, allow] of [
    ['/v1/registries', 'GET, HEAD'],
    [PATH, 'GET, HEAD'],
    [`${PATH}/credential`, 'PUT, DELETE'],
    [`${PATH}/rotations`, 'POST'],
    ['/v1/rotations', 'GET, HEAD'],
    ['/v1/rotations/x', 'GET, HEAD'],
    ['/v1/rotations/x/abort', 'POST'],
    ['/v1/status', 'GET, HEAD'],
    ['/v1/mirror', 'GET, HEAD'],
    ['/v1/audit', 'GET, HEAD'],
  ] as const) {
    const answer = await ask.patch(path).expect(405)
    assert.equal(answer.headers['allow'], allow, path)
    assert.equal(answer.body.code, 'METHOD_NOT_ALLOWED')
    await ask.options(path).expect(405)
  }
})

test('HEAD answers as GET does, without a body', async () => {
  const { ask } = createDesk()
  const answer = await ask.head('/v1/status').expect(200)
  assert.ok(Number(answer.headers['content-length']) > 2)
  assert.equal(answer.text, undefined)
})

test('a path that is not well-formed is refused without an echo', async () => {
  const desk = createDesk()
  const answer = desk.heard(await desk.ask.get('/v1/registries/%zzhunter2').expect(400))
  assert.equal(answer.body.code, 'PARAMETER_INVALID')
  assert.ok(!answer.text.includes('hunter2'))
})

test('a web page is refused, whatever it asks for', async () => {
  const { ask } = createDesk()
  for (const [header, value] of [
    ['Origin', 'https://evil.example'],
    ['Origin', 'null'],
    ['Origin', 'http://localhost'],
    ['Sec-Fetch-Site', 'cross-site'],
    ['Sec-Fetch-Site', 'same-origin'],
  ] as const) {
    const answer = await ask.get('/v1/status').set(header, value).expect(403)
    assert.equal(answer.body.code, 'ORIGIN_REFUSED')
  }
  await ask.get('/v1/status').set('Sec-Fetch-Site', 'none').expect(200)
})

test('a Host that DNS rebinding could bring is refused', async () => {
  const { ask } = createDesk()
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '192.168.1.1',
    'localhost:x',
  ]) {
    const answer = await ask.get('/v1/status').set('Host', host).expect(403)
    assert.equal(answer.body.code, 'HOST_REFUSED', host)
  }
  for (const host of ['localhost', 'LOCALHOST:8080', '127.0.0.1:1', '[::1]:9', 'regcredd']) {
    await ask.get('/v1/status').set('Host', host).expect(200)
  }
})

test('a second Host and an absolute target, which Node lets through, are refused', async (context) => {
  const { app } = createDesk()
  const server = app.listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const statusOf = (path: string, hosts: string[]) =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = hosts.flatMap((host) => ['Host', host])
      const request = httpRequest({ host: '127.0.0.1', port, path, headers, setHost: false, agent: false })
      request.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject)
      request.end()
    })
  assert.equal(await statusOf('/v1/status', ['localhost']), 200)
  assert.equal(await statusOf('/v1/status', ['localhost', 'evil.example']), 403)
  assert.equal(await statusOf('http://evil.example/v1/status', ['localhost']), 403)
})

test('the audit is asked for a range; a range that is none is refused with its reason', async () => {
  const ranges: unknown[] = []
  const audit = async (range: object) => {
    ranges.push(range)
    return [{ seq: 1 }]
  }
  const { ask } = createDesk({ admin: { audit } })
  const answer = await ask.get('/v1/audit').expect(200)
  assert.deepEqual(answer.body, { records: [{ seq: 1 }] })
  await ask.get('/v1/audit?limit=1000&after=7').expect(200)
  assert.deepEqual(ranges, [
    { limit: 100, after: undefined },
    { limit: 1_000, after: 7 },
  ])
  for (const query of [
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=1&limit=2',
    'after=-1',
    'after=1e3',
    'until=3',
    'limit=',
  ]) {
    const refused = await ask.get(`/v1/audit?${query}`).expect(400)
    assert.equal(refused.body.code, 'PARAMETER_INVALID', query)
    assert.equal(refused.body.errors.length, 1)
  }
})

test('the mirror’s report and the status are passed on', async () => {
  const fleet = { node: 'node-b', leader: undefined, writes: false }
  const result = { namespace: 'a', secretName: 'regcred', outcome: 'failed' as const, detail: undefined }
  const mirror = () => ({
    configured: true,
    results: [{ ...result, host: OTHER, at: 'now' }],
    stale: true,
    fault: 'why',
    fleet,
  })
  const { ask } = createDesk({ admin: { mirror } })
  const answer = await ask.get('/v1/mirror').expect(200)
  assert.deepEqual(answer.body, {
    configured: true,
    results: [{ ...result, host: OTHER, at: 'now', detail: null }],
    stale: true,
    fault: 'why',
    fleet: { ...fleet, leader: null },
  })
  assert.equal((await ask.get('/v1/status').expect(200)).body.keychain, 'ready')
})

test('an error of our own is INTERNAL to the client; its cause goes to the log line alone', async () => {
  const cause = new TypeError('a mistake of ours')
  const desk = createDesk({ admin: { status: () => Promise.reject(cause) } })
  const answer = await desk.ask.get('/v1/status').expect(500)
  assert.equal(answer.body.code, 'INTERNAL')
  assert.ok(!answer.text.includes('mistake'))
  assert.equal(desk.lines.at(-1)?.error?.cause, cause)
})

test('each answer is one log line, with the path and without the query', async () => {
  const desk = createDesk()
  await desk.ask.get('/v1/rotations?token=hunter2').set('Regcredd-Actor', 'jo').expect(400)
  const [line, ...more] = desk.lines
  assert.deepEqual(more, [])
  assert.deepEqual(
    [line?.method, line?.path, line?.status, line?.actor, line?.error?.code],
    ['GET', '/v1/rotations', 400, 'jo', 'PARAMETER_INVALID'],
  )
  desk.assertSilent('hunter2')
})
