import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Registry } from '../../src/config/config.ts'
import { RegcreddError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { type Agents, createAgents } from '../../src/upstream/agents.ts'
import { createLoginBreaker } from '../../src/upstream/login-breaker.ts'
import { createRateLimits } from '../../src/upstream/rate-limits.ts'
import { createTokens } from '../../src/upstream/tokens.ts'
import { keepWarm, type Warmth } from '../../src/upstream/warmth.ts'
import { listed } from '../helpers/proxy.ts'
import { startTokenServer } from '../helpers/token-server.ts'

const never = new AbortController().signal
const NAME = 'reg.example'
/** How long before its end a token of five minutes is renewed: 30 s before it is given up, which is 10 s before it ends. */
const RENEWED_AT_MS = 260_000

/** Tokens kept warm, from a token server on loopback, in a time that the test moves. */
async function start(t: TestContext) {
  const server = await startTokenServer()
  const registry = listed(NAME, server.origin)
  let agents: Agents | undefined
  let nowMs = 5_000_000
  let timers: { atMs: number; run: () => void }[] = []
  const waits: number[] = []
  const passwords = new Map([['v1', 'the-password']])
  const state = { lendFault: undefined as Error | undefined }
  const faults: unknown[] = []
  const parts = {
    agentsOf: (of: Registry) => {
      agents ??= createAgents(of)
      return agents
    },
    nowMs: () => nowMs,
    wallNowMs: () => Date.parse('2026-05-01T12:00:00Z') + nowMs,
    userAgent: 'regcredd/0.0.0-test',
  }
  const tokens = createTokens({ ...parts, onKept: () => warmth.look() })
  const [breaker, rateLimits] = [createLoginBreaker(parts), createRateLimits(parts)]
  const warmth: Warmth = keepWarm({
    ...{ tokens, breaker, rateLimits, nowMs: parts.nowMs },
    loginOf: async (_registry, version) => {
      if (state.lendFault !== undefined) throw state.lendFault
      const password = passwords.get(version)
      return password === undefined ? undefined : { username: 'ci', secret: new Secret(password) }
    },
    onFault: (thrown) => faults.push(thrown),
    after: (delayMs, run) => {
      const timer = { atMs: nowMs + delayMs, run }
      timers.push(timer)
      waits.push(delayMs)
      const stop = () => {
        timers = timers.filter((one) => one !== timer)
      }
      return { [Symbol.dispose]: stop }
    },
  })
  t.after(async () => {
    agents?.close()
    await server.close()
    assert.deepEqual(faults, [])
  })
  return {
    ...{ server, registry, tokens, breaker, rateLimits, warmth, passwords, state, waits },
    timers: () => timers.length,
    /** A pull that needs a token of this repository. */
    pull: (repository = 'team/app', version: string | undefined = 'v1') => {
      if (tokens.peek(registry, repository, version) !== undefined) return Promise.resolve()
      const secret = new Secret(passwords.get(version ?? '') ?? '')
      return tokens.exchange(
        {
          registry,
          repository,
          requestUrl: new URL(`/v2/${repository}/manifests/1`, registry.upstream),
          login: version === '' ? undefined : { username: 'ci', secret, version },
          challenge: { scheme: 'bearer', realm: server.realm, service: 'reg', scope: undefined, error: undefined },
        },
        never,
      )
    },
    /** Lets time pass, the timers fire in their order, and what they began come to its end. */
    async pass(ms: number) {
      const untilMs = nowMs + ms
      for (let count = 0; count < 1_000; count += 1) {
        const [first] = timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)
        if (first === undefined) break
        timers = timers.filter((one) => one !== first)
        nowMs = Math.max(nowMs, first.atMs)
        first.run()
        await settled(server)
      }
      nowMs = untilMs
      await settled(server)
    },
  }
}

/** Until nothing has been asked of the server for a while. */
async function settled({ requests }: { requests: unknown[] }): Promise<void> {
  let [calm, before] = [0, requests.length]
  for (let count = 0; calm < 15 && count < 2_000; count += 1) {
    await turn()
    await new Promise((resolve) => setTimeout(resolve, 1))
    calm = requests.length === before ? calm + 1 : 0
    before = requests.length
  }
}

test('a token in use is renewed before it ends, by one request, and the old one serves until the new one is there', async (t) => {
  const { server, registry, tokens, pull, pass } = await start(t)
  await pull()
  await pass(RENEWED_AT_MS - 1)
  assert.equal(server.requests.length, 1)
  await pull()
  let release = () => {}
  const { answer } = server
  server.answer = (request, response) => {
    release = () => answer(request, response)
  }
  await pass(1)
  assert.equal(server.requests.length, 2)
  const old = tokens.peek(registry, 'team/app', 'v1')
  assert.notEqual(old, undefined)
  release()
  await pass(0)
  assert.notEqual(tokens.peek(registry, 'team/app', 'v1'), old)
  await pass(40_000)
  assert.notEqual(tokens.peek(registry, 'team/app', 'v1'), undefined, 'the first one has ended by now')
  assert.equal(server.requests.length, 2)
})

test('a token is renewed as long as pulls need it, and let go when none has for its lifetime', async (t) => {
  const { server, registry, tokens, pull, pass, timers } = await start(t)
  await pull()
  for (let round = 0; round < 5; round += 1) {
    await pass(200_000)
    await pull()
  }
  const inUse = server.requests.length
  assert.ok(inUse >= 4 && inUse <= 5, `${inUse} requests in 1,000 s`)
  await pass(3_600_000)
  assert.ok(server.requests.length - inUse <= 2, 'what is not used any more costs two requests at the most')
  assert.equal(tokens.peek(registry, 'team/app', 'v1'), undefined)
  assert.equal(timers(), 0, 'and then nothing wakes the daemon')
})

test('no more than four renewals are under way at a time, those used last come first, and all come', async (t) => {
  const { server, pull, pass } = await start(t)
  const names = Array.from({ length: 12 }, (_, index) => `team/app${index}`)
  for (const name of names) await pull(name)
  await pass(100_000)
  await pull('team/app7')
  let [open, most] = [0, 0]
  const { answer } = server
  server.answer = (request, response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open -= 1
      answer(request, response)
    }, 10)
  }
  await pass(RENEWED_AT_MS - 100_000)
  assert.equal(most, 4)
  const renewed = server.requests.slice(12).map(({ url }) => url.searchParams.get('scope'))
  assert.equal(renewed[0], 'repository:team/app7:pull')
  assert.deepEqual(new Set(renewed), new Set(names.map((name) => `repository:${name}:pull`)))
  assert.equal(renewed.length, 12)
})

test('the daemon is woken once a second at the most, however many tokens end', async (t) => {
  const { pull, pass, waits } = await start(t)
  for (let index = 0; index < 40; index += 1) {
    await pull(`team/app${index}`)
    await pass(50)
  }
  waits.length = 0
  await pass(RENEWED_AT_MS)
  assert.ok(waits.length >= 1 && waits.length <= 4, `${waits.length} timers for what ends within two seconds`)
  assert.ok(Math.min(...waits) >= 1_000)
})

test('a pull that needs a token while it is being renewed shares the request', async (t) => {
  const { server, pull, pass } = await start(t)
  await pull()
  let release = () => {}
  const { answer } = server
  server.answer = (request, response) => {
    release = () => answer(request, response)
  }
  await pass(RENEWED_AT_MS)
  await pass(60_000)
  const pulls = Promise.all([pull(), pull()])
  release()
  await pulls
  assert.equal(server.requests.length, 2)
})

test('an anonymous token is renewed without a password', async (t) => {
  const { server, pull, pass } = await start(t)
  await pull('team/app', '')
  await pass(RENEWED_AT_MS)
  assert.deepEqual(
    server.requests.map(({ headers }) => headers.authorization),
    [undefined, undefined],
  )
})

for (const [why, stop] of [
  ['the credential has changed', ({ tokens }) => tokens.forgetRegistry(NAME)],
  ['the version is gone', ({ passwords }) => void passwords.clear()],
  ['the registry asked to be left alone', ({ rateLimits }) => rateLimits.met(NAME, 'tokens', 600_000)],
  [
    'the keychain is locked',
    ({ state }) => void Object.assign(state, { lendFault: new RegcreddError('KEYCHAIN_LOCKED') }),
  ],
  ['the daemon stops', ({ warmth }) => warmth.close()],
] as [string, (rig: Awaited<ReturnType<typeof start>>) => void][]) {
  test(`nothing is renewed when ${why}`, async (t) => {
    const rig = await start(t)
    await rig.pull()
    await rig.pass(200_000)
    await rig.pull()
    stop(rig)
    await rig.pass(600_000)
    assert.equal(rig.server.requests.length, 1)
    assert.equal(rig.timers(), 0)
  })
}

test('a login that is refused at a renewal is held back and not tried again by itself', async (t) => {
  const { server, breaker, pull, pass } = await start(t)
  await pull()
  await pull('team/other')
  server.answer = (_request, response) => response.writeHead(401).end()
  await pass(RENEWED_AT_MS)
  assert.equal(server.requests.length, 3, 'the two were one trial: the version had never been proven')
  assert.equal(breaker.held().length, 1)
  await pass(3_600_000)
  assert.equal(server.requests.length, 3)
})

test('a 429 at a renewal is remembered for pulls, and a token server that fails is asked once', async (t) => {
  const { server, rateLimits, pull, pass } = await start(t)
  await pull()
  server.answer = (_request, response) => response.writeHead(429, { 'retry-after': '120' }).end()
  await pass(RENEWED_AT_MS)
  assert.ok((rateLimits.waitSeconds(NAME, 'tokens') ?? 0) > 0)
  await pass(600_000)
  assert.equal(server.requests.length, 2)
  server.answer = (_request, response) => response.end(JSON.stringify({ token: 'next', expires_in: 300 }))
  await pull()
  server.answer = (_request, response) => response.writeHead(503).end()
  await pass(RENEWED_AT_MS)
  assert.equal(server.requests.length, 4)
  await pass(600_000)
  assert.equal(server.requests.length, 4)
})

test('a token that was fetched across a change of the credential is given to nobody later', async (t) => {
  const { server, registry, tokens, pull, pass } = await start(t)
  let release = () => {}
  const { answer } = server
  server.answer = (request, response) => {
    release = () => answer(request, response)
  }
  const pulling = pull()
  await pass(0)
  tokens.forgetRegistry(NAME)
  release()
  await pulling
  assert.equal(tokens.peek(registry, 'team/app', 'v1'), undefined)
  assert.deepEqual(tokens.kept(), [])
})
