import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Registry } from '../../src/config/config.ts'
import type { RegcreddError } from '../../src/errors.ts'
import type { BearerChallenge } from '../../src/registry/challenge.ts'
import { Secret } from '../../src/secret.ts'
import { type Agents, createAgents } from '../../src/upstream/agents.ts'
import { bearerHeader } from '../../src/upstream/authorization.ts'
import { createTokens, type ExchangeAsk } from '../../src/upstream/tokens.ts'
import { listed } from '../helpers/proxy.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { startTokenServer } from '../helpers/token-server.ts'
import { skipWithout } from '../helpers/tools.ts'

const never = new AbortController().signal
const basic = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

/** A token server on loopback that counts as the registry's own, and a cache of tokens whose clock the test moves. */
async function start(t: TestContext, more: Partial<Registry> = {}) {
  const server = await startTokenServer()
  const registry = listed('reg.example', server.origin, more)
  const made = new Map<Registry, Agents>()
  const clock = { nowMs: 5_000_000 }
  const tokens = createTokens({
    agentsOf: (of) => {
      const agents = made.get(of) ?? createAgents(of)
      made.set(of, agents)
      return agents
    },
    nowMs: () => clock.nowMs,
    wallNowMs: () => Date.parse('2026-05-01T12:00:00Z'),
    userAgent: 'regcredd/0.0.0-test',
  })
  t.after(async () => {
    for (const agents of made.values()) agents.close()
    await server.close()
  })
  const askFor = (
    change: Partial<Omit<ExchangeAsk, 'challenge'>> & { challenge?: Partial<BearerChallenge> } = {},
  ): ExchangeAsk => ({
    registry,
    repository: 'team/app',
    requestUrl: new URL('/v2/team/app/manifests/1', registry.upstream),
    login: { username: 'ci', secret: new Secret('the-password'), version: 'v1' },
    ...change,
    challenge: {
      ...{ scheme: 'bearer', realm: server.realm, service: 'reg', scope: undefined, error: undefined },
      ...change.challenge,
    },
  })
  const exchange = (change: Parameters<typeof askFor>[0] = {}, signal = never) =>
    tokens.exchange(askFor(change), signal)
  return { server, registry, tokens, clock, exchange }
}

const tokenOf = (secret: Secret | undefined) => (secret === undefined ? undefined : bearerHeader(secret).slice(7))

test('a token is asked for by GET, with Basic, one scope to pull, and our User-Agent', async (t) => {
  const { server, exchange } = await start(t)
  const token = await exchange({ challenge: { scope: 'repository:placeholder:pull,push' } })
  assert.equal(tokenOf(token), 'token-1')
  const [request] = server.requests
  assert.equal(request?.method, 'GET')
  assert.equal(request?.url.search, '?service=reg&scope=repository%3Ateam%2Fapp%3Apull')
  assert.equal(request?.headers.authorization, basic('ci', 'the-password'))
  assert.equal(request?.headers['user-agent'], 'regcredd/0.0.0-test')
  assert.equal(request?.headers.host, server.origin.host)
})

test('an anonymous token is asked for without Authorization, and kept apart', async (t) => {
  const { server, registry, tokens, exchange } = await start(t)
  assert.equal(tokenOf(await exchange({ login: undefined })), 'token-1')
  assert.equal(server.requests[0]?.headers.authorization, undefined)
  assert.equal(tokenOf(await exchange()), 'token-2')
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', undefined)), 'token-1')
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', 'v1')), 'token-2')
  assert.equal(tokens.peek(registry, 'team/app', 'v2'), undefined)
  assert.equal(tokens.peek(registry, 'team/other', 'v1'), undefined)
})

test('case 26: the query of a realm is kept, with our service once and no scope but ours', async (t) => {
  const { server, exchange } = await start(t)
  await exchange({ challenge: { realm: `${server.realm}?x=1&service=z&scope=admin` } })
  assert.deepEqual(
    [...(server.requests[0]?.url.searchParams ?? [])],
    [
      ['x', '1'],
      ['service', 'reg'],
      ['scope', 'repository:team/app:pull'],
    ],
  )
})

test('an empty service and an empty scope are not sent, and a scope of another kind is sent as it is', async (t) => {
  const { server, exchange } = await start(t)
  await exchange({ challenge: { realm: `${server.realm}?scope=admin`, service: '', scope: '' } })
  await exchange({ challenge: { service: undefined, scope: 'aws' } })
  assert.deepEqual(
    server.requests.map(({ url }) => url.search),
    ['', '?scope=aws'],
  )
})

test('a relative realm is asked at the registry', async (t) => {
  const { server, exchange } = await start(t)
  await exchange({ challenge: { realm: '/v2/token' } })
  assert.equal(server.requests[0]?.url.pathname, '/v2/token')
})

test('cases 23 and 24: a realm on another host, port or scheme never sees the password', async (t) => {
  const { server, exchange } = await start(t)
  const evil = await startTokenServer()
  t.after(() => evil.close())
  for (const realm of [
    evil.realm,
    evil.realm.replace('127.0.0.1', 'localhost'),
    'http://2130706433/',
    `https://${server.origin.host}/`,
  ]) {
    await assert.rejects(exchange({ challenge: { realm } }), { code: 'REALM_REFUSED' }, realm)
  }
  assert.equal(evil.requests.length + server.requests.length, 0)
})

test('case 24: a listed realm whose name leads to a private address is refused unless the address is listed too', async (t) => {
  const evil = await startTokenServer()
  t.after(() => evil.close())
  const realm = evil.realm.replace('127.0.0.1', 'localhost')
  const realms = [new URL(realm).origin]
  const guarded = await start(t, { realms })
  await assert.rejects(guarded.exchange({ challenge: { realm } }), { code: 'ADDRESS_REFUSED' })
  assert.equal(evil.requests.length, 0)
  const open = await start(t, { realms, allowAddresses: ['127.0.0.0/8', '::1/128'] })
  assert.equal(tokenOf(await open.exchange({ challenge: { realm } })), 'token-1')
})

test('case 25: a redirect of the token server is not followed, so its target never sees the password', async (t) => {
  const { server, exchange } = await start(t)
  const evil = await startTokenServer()
  t.after(() => evil.close())
  for (const status of [301, 302, 303, 307, 308]) {
    server.answer = (_request, response) => response.writeHead(status, { location: evil.realm }).end()
    await assert.rejects(exchange(), { code: 'TOKEN_SERVER_FAILED', detail: `the token server answered ${status}` })
  }
  assert.equal(evil.requests.length, 0)
  assert.equal(server.requests.length, 5)
})

test('cases 27 and 28: an answer that is HTML, too large, empty or breaks a header is an error of the token server', async (t) => {
  const { server, exchange } = await start(t)
  const bodies: [body: string, code: string][] = [
    ['<html>', 'TOKEN_MALFORMED'],
    ['{}', 'TOKEN_MALFORMED'],
    [JSON.stringify({ token: 'a\r\nX: y' }), 'TOKEN_MALFORMED'],
    [JSON.stringify({ token: 'a', padding: 'x'.repeat(10_000_000) }), 'TOKEN_SERVER_FAILED'],
  ]
  for (const [body, code] of bodies) {
    server.answer = (_request, response) => response.end(body)
    await assert.rejects(
      exchange(),
      (error: RegcreddError) => error.code === code && error.status === 502,
      body.slice(0, 20),
    )
  }
})

test('what the token server says to a login is told from what it says to nobody, and from its own failures', async (t) => {
  const { server, exchange } = await start(t)
  const codes: [status: number, withLogin: string, anonymous: string][] = [
    [401, 'CREDENTIAL_REJECTED', 'ANONYMOUS_REFUSED'],
    [403, 'REPOSITORY_REFUSED', 'ANONYMOUS_REFUSED'],
    [429, 'TOO_MANY_REQUESTS', 'TOO_MANY_REQUESTS'],
    [400, 'TOKEN_SERVER_FAILED', 'TOKEN_SERVER_FAILED'],
    [404, 'TOKEN_SERVER_FAILED', 'TOKEN_SERVER_FAILED'],
    [503, 'TOKEN_SERVER_FAILED', 'TOKEN_SERVER_FAILED'],
  ]
  for (const [status, withLogin, anonymous] of codes) {
    server.answer = (_request, response) => response.writeHead(status).end('{"token":"t"}')
    await assert.rejects(exchange(), { code: withLogin }, String(status))
    await assert.rejects(exchange({ login: undefined }), { code: anonymous }, String(status))
  }
})

test('a token server that is down or silent is told as such', async (t) => {
  const silent = await start(t, {
    limits: { connectTimeoutMs: 100, answerTimeoutMs: 100, idleTimeoutMs: 30_000, maxConnections: 4 },
  })
  silent.server.answer = () => {}
  await assert.rejects(silent.exchange(), { code: 'UPSTREAM_TIMEOUT' })
  const { server, exchange } = await start(t)
  await server.close()
  await assert.rejects(exchange(), { code: 'TOKEN_SERVER_FAILED', detail: 'nothing listens there' })
})

test('no error of an exchange holds the password, the token or the query of the realm', async (t) => {
  const { server, exchange } = await start(t)
  for (const body of ['{"token":"tok\\nen-canary"}', 'password-canary token-canary', '{"token-canary":']) {
    server.answer = (_request, response) => response.end(body)
    const login = { username: 'ci', secret: new Secret('password-canary'), version: 'v1' }
    await assert.rejects(
      exchange({ login, challenge: { realm: `${server.realm}?x=query-canary` } }),
      (error: Error) =>
        !/canary/.test(JSON.stringify(error) + error.stack + String((error.cause as Error | undefined)?.stack)),
    )
  }
})

test('case 31: fifty who ask at once share one request', async (t) => {
  const { server, exchange, tokens, registry } = await start(t)
  const { answer } = server
  server.answer = (request, response) => setTimeout(() => answer(request, response), 30)
  const all = await Promise.all(Array.from({ length: 50 }, () => exchange()))
  assert.equal(server.requests.length, 1)
  assert.deepEqual(new Set(all.map(tokenOf)), new Set(['token-1']))
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', 'v1')), 'token-1')
  await exchange()
  assert.equal(server.requests.length, 1)
})

test('what differs in repository, version, service or entry of the configuration shares no token', async (t) => {
  const { server, exchange, registry } = await start(t)
  await Promise.all([
    exchange(),
    exchange({ repository: 'team/other' }),
    exchange({ login: { username: 'ci', secret: new Secret('new'), version: 'v2' } }),
    exchange({ login: undefined }),
    exchange({ challenge: { service: 'other' } }),
    exchange({ registry: { ...registry, name: 'reg.example/team', path: 'team' } }),
  ])
  assert.equal(server.requests.length, 6)
})

test('one who gives up does not take the token from the others', async (t) => {
  const { server, exchange } = await start(t)
  const { answer } = server
  server.answer = (request, response) => setTimeout(() => answer(request, response), 50)
  const caller = new AbortController()
  const first = exchange({}, caller.signal)
  const second = exchange()
  setTimeout(() => caller.abort(), 10)
  await assert.rejects(first, { code: 'UPSTREAM_UNREACHABLE' })
  assert.equal(tokenOf(await second), 'token-1')
  await assert.rejects(exchange({ repository: 'team/other' }, AbortSignal.abort()), { code: 'UPSTREAM_UNREACHABLE' })
})

test('a failure is shared, and the next who asks tries again', async (t) => {
  const { server, exchange } = await start(t)
  const { answer } = server
  server.answer = (_request, response) => response.writeHead(503).end()
  const failed = await Promise.allSettled([exchange(), exchange()])
  assert.deepEqual(
    failed.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  assert.equal(server.requests.length, 1)
  server.answer = answer
  assert.equal(tokenOf(await exchange()), 'token-2')
})

test('a token is used until ten seconds before its end', async (t) => {
  const { server, exchange, tokens, registry, clock } = await start(t)
  await exchange()
  clock.nowMs += 289_999
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', 'v1')), 'token-1')
  clock.nowMs += 1
  assert.equal(tokens.peek(registry, 'team/app', 'v1'), undefined)
  assert.equal(tokenOf(await exchange()), 'token-2')
  assert.equal(server.requests.length, 2)
})

test('case 30: nonsense in issued_at leads to no loop of requests', async (t) => {
  const { server, exchange } = await start(t)
  for (const issued_at of ['0001-01-01T00:00:00Z', '2026-05-01T13:00:00Z', '2026-04-30T12:00:00Z']) {
    server.answer = (_request, response) => response.end(JSON.stringify({ token: 't', issued_at }))
    await exchange({ repository: `r/${issued_at.slice(0, 4)}${issued_at.slice(11, 13)}` })
    await exchange({ repository: `r/${issued_at.slice(0, 4)}${issued_at.slice(11, 13)}` })
  }
  assert.equal(server.requests.length, 3)
})

test('case 33: a token that was forgotten is fetched anew, once', async (t) => {
  const { server, exchange, tokens, registry } = await start(t)
  await exchange()
  tokens.forget(registry, 'team/other', 'v1')
  tokens.forget(registry, 'team/app', 'v2')
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', 'v1')), 'token-1')
  tokens.forget(registry, 'team/app', 'v1')
  assert.equal(tokens.peek(registry, 'team/app', 'v1'), undefined)
  assert.equal(tokenOf(await exchange()), 'token-2')
  assert.equal(server.requests.length, 2)
})

test('case 34: after a rotation no token from before it is given, not even one that was being fetched', async (t) => {
  const { server, exchange, tokens, registry } = await start(t)
  await exchange({ repository: 'team/kept' })
  const { answer } = server
  server.answer = (request, response) => setTimeout(() => answer(request, response), 30)
  const flying = exchange()
  tokens.forgetRegistry('reg.example')
  const after = exchange()
  assert.equal(tokens.peek(registry, 'team/kept', 'v1'), undefined)
  assert.notEqual(tokenOf(await flying), tokenOf(await after))
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', 'v1')), tokenOf(await after))
  assert.equal(server.requests.length, 3)
})

test('forgetting one registry leaves the tokens of another', async (t) => {
  const { exchange, tokens, registry } = await start(t)
  await exchange()
  for (const name of ['reg.example/team', 'reg', 'other.example']) tokens.forgetRegistry(name)
  assert.equal(tokenOf(tokens.peek(registry, 'team/app', 'v1')), 'token-1')
})

test('an identity token is traded by POST and never goes into Basic', async (t) => {
  const { server, exchange } = await start(t)
  const login = { username: '<token>', secret: new Secret('identity-token'), version: 'v1' }
  assert.equal(tokenOf(await exchange({ login })), 'token-1')
  const [request] = server.requests
  assert.equal(request?.method, 'POST')
  assert.equal(request?.headers.authorization, undefined)
  assert.equal(request?.headers['content-type'], 'application/x-www-form-urlencoded')
  assert.deepEqual(Object.fromEntries(new URLSearchParams(request?.body)), {
    grant_type: 'refresh_token',
    client_id: 'regcredd',
    service: 'reg',
    scope: 'repository:team/app:pull',
    refresh_token: 'identity-token',
  })
  for (const [status, code] of [
    [400, 'CREDENTIAL_REJECTED'],
    [401, 'CREDENTIAL_REJECTED'],
    [404, 'TOKEN_SERVER_FAILED'],
  ] as const) {
    server.answer = (_request, response) => response.writeHead(status).end()
    await assert.rejects(exchange({ login, repository: `r/${status}` }), { code })
  }
  assert.deepEqual(new Set(server.requests.map(({ method }) => method)), new Set(['POST']))
})

test('a username with a colon is refused before it is sent', async (t) => {
  const { server, exchange } = await start(t)
  const login = { username: 'a:b', secret: new Secret('c'), version: 'v1' }
  await assert.rejects(exchange({ login }), { code: 'CREDENTIAL_REJECTED' })
  assert.equal(server.requests.length, 0)
})

test('over TLS the token server must show a certificate for its own name', {
  skip: skipWithout('openssl'),
}, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-tokens-'))
  t.after(() => rm(dir, { recursive: true }))
  const ca = await makeCa(dir)
  const tlsFor = async (name: string) => {
    const { cert, keyFile } = await makeServerCertificate(ca, dir, [name])
    return { cert, key: await readFile(keyFile, 'utf8') }
  }
  const right = await startTokenServer({ tls: await tlsFor('localhost') })
  const wrong = await startTokenServer({ tls: await tlsFor('registry.corp.example') })
  t.after(() => Promise.all([right.close(), wrong.close()]))
  const realmOf = ({ origin }: { origin: URL }) => `https://localhost:${origin.port}`
  const { exchange } = await start(t, {
    upstream: new URL('https://registry.corp.example'),
    // The registry's own server name must not pass for that of another host.
    serverName: 'registry.corp.example',
    ca: ca.cert,
    realms: [realmOf(right), realmOf(wrong)],
    allowAddresses: ['127.0.0.0/8', '::1'],
  })
  assert.equal(tokenOf(await exchange({ challenge: { realm: `${realmOf(right)}/token` } })), 'token-1')
  await assert.rejects(exchange({ challenge: { realm: `${realmOf(wrong)}/token` } }), {
    code: 'TOKEN_SERVER_FAILED',
    detail: 'its certificate is for another name; which name the registry itself has, serverName says',
  })
  assert.equal(wrong.requests.length, 0)
})
