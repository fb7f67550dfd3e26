import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Registry } from '../../src/config/config.ts'
import type { Verify } from '../../src/rotation/ports.ts'
import { Secret } from '../../src/secret.ts'
import { type Agents, createAgents } from '../../src/upstream/agents.ts'
import { createVerify } from '../../src/upstream/verify.ts'
import { type FakeRegistryOptions, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed } from '../helpers/proxy.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

const limits = { connectTimeoutMs: 10_000, answerTimeoutMs: 10_000, idleTimeoutMs: 30_000, maxConnections: 4 }
const challenges = { basic: 'Basic realm="r"', none: 'Negotiate' }

async function start(t: TestContext, options: FakeRegistryOptions, more: Partial<Registry> = {}) {
  const server = await startFakeRegistry(options)
  const registry = listed('reg.example', server.origin, { limits, ...more })
  const agents: Agents = createAgents(registry)
  t.after(async () => {
    agents.close()
    await server.close()
  })
  const parts = {
    agentsOf: () => agents,
    nowMs: () => performance.now(),
    wallNowMs: Date.now,
    userAgent: 'regcredd/test',
  }
  // Typed as the rotation's port: that the two fit is a part of the contract.
  const verify: Verify = createVerify([registry], parts)
  const tryPassword = (password: string, username = 'ci', signal = new AbortController().signal) =>
    verify('reg.example', { username, secret: new Secret(password) }, signal)
  return { server, verify, tryPassword }
}

const answer =
  (status: number, headers: Record<string, string> = {}) =>
  (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, headers).end()
    return true
  }

for (const auth of ['basic', 'bearer'] as const) {
  test(`${auth}: the right password is accepted, a wrong one rejected, and nothing is remembered in between`, async (t) => {
    const { server, tryPassword } = await start(t, { auth })
    assert.deepEqual(await tryPassword('the-password'), { outcome: 'accepted' })
    assert.equal((await tryPassword('wrong')).outcome, 'rejected')
    server.setPassword('next')
    assert.equal((await tryPassword('the-password')).outcome, 'rejected')
    assert.deepEqual(await tryPassword('next'), { outcome: 'accepted' })
  })
}

test('a token for /v2/ is asked for without a scope, and one for the canary with its scope', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'bearer' }, { canary: 'team/canary' })
  assert.deepEqual(await tryPassword('the-password'), { outcome: 'accepted' })
  const scopes = server.requests.flatMap(({ url }) =>
    url.startsWith('/token') ? [new URL(url, server.origin).searchParams.get('scope')] : [],
  )
  assert.deepEqual(scopes, [null, 'repository:team/canary:pull'])
})

test('a login that is let in but may not read the canary is rejected, and one for which it is not there is accepted', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'basic' }, { canary: 'team/canary' })
  let status = 403
  server.script = (request, response) => {
    const isCanary = request.url?.startsWith('/v2/team/canary/tags/list') && request.headers.authorization !== undefined
    return isCanary ? answer(status)(request, response) : false
  }
  assert.deepEqual(await tryPassword('the-password'), {
    outcome: 'rejected',
    detail: 'the registry answered 403 to the canary',
  })
  status = 401
  assert.equal((await tryPassword('the-password')).outcome, 'rejected')
  status = 404
  assert.equal((await tryPassword('the-password')).outcome, 'accepted')
  status = 500
  assert.equal((await tryPassword('the-password')).outcome, 'unreachable')
})

test('a registry that lets anybody in cannot tell, unless its canary does', async (t) => {
  const open = await start(t, { auth: 'none' }, { canary: 'team/canary' })
  assert.equal((await open.tryPassword('x')).outcome, 'unverifiable')
  assert.equal((await (await start(t, { auth: 'none' })).tryPassword('x')).outcome, 'unverifiable')
  const half = await start(t, { auth: 'basic' }, { canary: 'team/canary' })
  half.server.script = (request, response) => (request.url === '/v2/' ? answer(200)(request, response) : false)
  assert.equal((await half.tryPassword('the-password')).outcome, 'accepted')
  assert.equal((await half.tryPassword('wrong')).outcome, 'rejected')
})

test('ECR: 403 to Basic is a rejection', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'basic' })
  server.script = (request, response) =>
    request.headers.authorization === undefined ? false : answer(403)(request, response)
  assert.deepEqual(await tryPassword('expired'), { outcome: 'rejected', detail: 'the registry answered 403' })
})

test('zot: a challenge on a 200 asks for nothing', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'basic' })
  server.script = answer(200, { 'www-authenticate': challenges.basic })
  assert.equal((await tryPassword('the-password')).outcome, 'unverifiable')
  assert.equal(server.requests.length, 1)
})

test('answers that say nothing about the login decide nothing', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'basic' })
  for (const status of [301, 307, 400, 403, 404, 429, 500, 503]) {
    server.script = answer(status, { location: 'http://127.0.0.1:1/' })
    assert.equal((await tryPassword('the-password')).outcome, 'unreachable', String(status))
  }
  server.script = answer(401, { 'www-authenticate': challenges.none })
  assert.equal((await tryPassword('the-password')).outcome, 'unreachable')
  server.script = (request, response) =>
    request.headers.authorization === undefined ? false : answer(429)(request, response)
  assert.deepEqual(await tryPassword('the-password'), { outcome: 'unreachable', detail: 'the registry answered 429' })
})

test('a realm elsewhere is refused without a verdict on the password, which it never sees', async (t) => {
  const evil = await startFakeRegistry({ auth: 'none' })
  t.after(() => evil.close())
  const { tryPassword } = await start(t, { auth: 'bearer', realmOrigin: evil.origin.origin })
  const verdict = await tryPassword('the-password')
  assert.equal(verdict.outcome, 'unreachable')
  assert.match('detail' in verdict ? verdict.detail : '', /not allowed for it: http:\/\/127\.0\.0\.1:\d+ is not among/)
  assert.equal(evil.requests.length, 0)
})

test('a registry that is silent, down or given up on is unreachable', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'basic' })
  assert.equal((await tryPassword('the-password', 'ci', AbortSignal.abort())).outcome, 'unreachable')
  const hasty = { ...limits, connectTimeoutMs: 200, answerTimeoutMs: 200 }
  const silent = await start(t, { auth: 'basic' }, { limits: hasty })
  silent.server.script = () => true
  assert.deepEqual(await silent.tryPassword('the-password'), {
    outcome: 'unreachable',
    detail: 'the registry did not answer in time',
  })
  await server.close()
  assert.deepEqual(await tryPassword('the-password'), {
    outcome: 'unreachable',
    detail: 'the registry cannot be reached: nothing listens there',
  })
})

test('a login that Basic cannot carry is rejected, and a registry that is not listed is not asked', async (t) => {
  const { verify, tryPassword } = await start(t, { auth: 'basic' })
  assert.equal((await tryPassword('x', 'a:b')).outcome, 'rejected')
  assert.equal((await tryPassword('x', '<token>')).outcome, 'rejected')
  const login = { username: 'ci', secret: new Secret('x') }
  assert.equal((await verify('other.example', login, new AbortController().signal)).outcome, 'unverifiable')
})

test('no verdict holds the password', async (t) => {
  const { server, tryPassword } = await start(t, { auth: 'bearer' })
  for (const status of [200, 400, 401, 500]) {
    server.script = (request, response) =>
      request.url?.startsWith('/token') === true ? answer(status)(request, response) : false
    assert.doesNotMatch(JSON.stringify(await tryPassword('canary-password', 'ci')), /canary/)
  }
})

test('a certificate of an unknown authority or for another name is told with what to set', {
  skip: skipWithout('openssl'),
}, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-verify-'))
  t.after(() => rm(dir, { recursive: true }))
  const ca = await makeCa(dir)
  const { cert, keyFile } = await makeServerCertificate(ca, dir, ['registry.corp.example'])
  const tls = { cert, key: await readFile(keyFile, 'utf8') }
  const detailWith = async (more: Partial<Registry>) => {
    const { tryPassword } = await start(t, { auth: 'basic', tls }, more)
    const verdict = await tryPassword('the-password')
    return 'detail' in verdict ? `${verdict.outcome}: ${verdict.detail}` : verdict.outcome
  }
  const serverName = 'registry.corp.example'
  assert.match(await detailWith({ serverName }), /unreachable: .* set caFile/)
  assert.match(await detailWith({ ca: ca.cert }), /unreachable: .* for another name; .* serverName/)
  assert.equal(await detailWith({ ca: ca.cert, serverName }), 'accepted')
})
