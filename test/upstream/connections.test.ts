import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type Agent, createServer as createHttpServer, request as httpRequest } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type LookupFunction, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLane, type Lane } from '../../src/lane/lane.ts'
import type { Lookup } from '../../src/upstream/address.ts'
import { createAgents } from '../../src/upstream/agents.ts'
import { ask } from '../../src/upstream/ask.ts'
import { eventually } from '../helpers/eventually.ts'
import { listed } from '../helpers/proxy.ts'
import { startSilentPort } from '../helpers/silent-port.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

const never = new AbortController().signal
const limits = { connectTimeoutMs: 12_000, answerTimeoutMs: 10_000, idleTimeoutMs: 30_000, maxConnections: 64 }
const HOST = 'registry.invalid'

type Tls = { key: string; cert: string }

/** A server that counts connections, open ones and all; with `/slow` it takes its time. */
async function startServer(t: TestContext, place: { host: string; port?: number }, tls?: Tls) {
  const open = new Set<Socket>()
  let accepted = 0
  const answer = (request: { url?: string | undefined }, response: import('node:http').ServerResponse) =>
    void setTimeout(() => response.writeHead(200, { 'content-length': 2 }).end('{}'), request.url === '/slow' ? 50 : 0)
  const server = tls === undefined ? createHttpServer(answer) : createHttpsServer(tls, answer)
  // Who ends an idle connection must be we.
  server.keepAliveTimeout = 60_000
  server.on('connection', (socket: Socket) => {
    accepted += 1
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.listen({ port: 0, ...place })
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, open: () => open.size, accepted: () => accepted }
}

/** A DNS of the test's own, which it may change. */
function dns(addresses: string[]) {
  const state = { addresses }
  const lookup: Lookup = (_host, _options, callback) =>
    callback(
      null,
      state.addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  return { state, lookup }
}

async function viaAgent(to: URL, agent: Agent): Promise<number | string> {
  const question = { method: 'GET', to, headers: {}, agent, timeoutMs: 20_000, maxBodyBytes: 1_000 } as const
  return ask(question, never).then(
    ({ status }) => status,
    ({ code }) => code,
  )
}

async function viaLane(lane: Lane, path = '/'): Promise<number | string> {
  const taken = await lane.send({ method: 'GET', path, headers: { host: HOST }, answerTimeoutMs: 10_000 }, never)
  if (typeof taken === 'string') return taken
  taken.body.discard()
  return taken.head.status
}

describe('connections', { skip: skipWithout('openssl') }, () => {
  let folder = ''
  let ca = ''
  let tls: Tls
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-connections-'))
    const authority = await makeCa(folder)
    const { cert, keyFile } = await makeServerCertificate(authority, folder, [HOST])
    tls = { cert, key: await readFile(keyFile, 'utf8') }
    ca = authority.cert
  })
  after(() => rm(folder, { recursive: true }))

  /** All ways to ask one registry over TLS. */
  function waysTo(
    t: TestContext,
    port: number,
    lookup: Lookup,
    more: { idleTimeoutMs?: number; longestLifeMs?: number } = {},
  ) {
    const { longestLifeMs, ...fewer } = more
    const life = longestLifeMs === undefined ? {} : { longestLifeMs }
    const origin = new URL(`https://${HOST}:${port}`)
    const entry = listed('reg.example', origin, {
      ca,
      limits: { ...limits, ...fewer },
      allowAddresses: ['127.0.0.0/8', '::1/128'],
    })
    const agents = createAgents(entry, { lookup, ...life })
    const { secure } = agents
    const lane = createLane(
      {
        ...{ host: HOST, port, connectTimeoutMs: limits.connectTimeoutMs, lookup: lookup as LookupFunction },
        tls: () => ({ servername: HOST, ...secure?.() }),
      },
      { ...entry.limits, ...life },
    )
    t.after(() => {
      agents.close()
      lane.close()
    })
    return {
      'the registry’s agent': () => viaAgent(origin, agents.registry),
      'the agent for elsewhere': () => viaAgent(origin, agents.elsewhere(origin)),
      'the lane': () => viaLane(lane),
    }
  }
  const wayNames = ['the registry’s agent', 'the agent for elsewhere', 'the lane'] as const

  for (const name of wayNames) {
    test(`a registry whose first address is dead is reached at its second in time, by ${name}`, async (t) => {
      // Where there is no IPv6, another address of this machine will do: what counts is that nobody answers there.
      // The server chooses the port: of its address many are taken at any time, of the dead one hardly any.
      const server = await startServer(t, { host: '127.0.0.1' }, tls)
      const { port } = server
      const dead = await startSilentPort('::1', port).then(
        (silent) => ({ host: '::1', ...silent }),
        async () => ({ host: '127.0.0.3', ...(await startSilentPort('127.0.0.3', port)) }),
      )
      t.after(() => dead.close())
      const { lookup } = dns([dead.host, '127.0.0.1'])
      const startedAtMs = performance.now()
      assert.equal(await waysTo(t, port, lookup)[name](), 200)
      assert.ok(performance.now() - startedAtMs < 10_000, `${performance.now() - startedAtMs} ms`)
      assert.equal(server.accepted(), 1)
    })

    test(`a registry that moved is asked at its new address once its idle connections have ended, by ${name}`, async (t) => {
      const before = await startServer(t, { host: '127.0.0.1' }, tls)
      const now = await startServer(t, { host: '127.0.0.2', port: before.port }, tls)
      const { state, lookup } = dns(['127.0.0.1'])
      const way = waysTo(t, before.port, lookup, { idleTimeoutMs: 150 })[name]
      assert.equal(await way(), 200)
      state.addresses = ['127.0.0.2']
      assert.equal(await way(), 200)
      assert.deepEqual([before.accepted(), now.accepted()], [1, 0], 'a kept connection is used while it is fresh')
      await eventually('the idle connection ends', () => before.open() === 0)
      assert.equal(await way(), 200)
      assert.deepEqual([before.accepted(), now.accepted()], [1, 1])
    })

    test(`a registry that moved is asked at its new address in the end, however busy its connection is, by ${name}`, async (t) => {
      const before = await startServer(t, { host: '127.0.0.1' }, tls)
      const now = await startServer(t, { host: '127.0.0.2', port: before.port }, tls)
      const { state, lookup } = dns(['127.0.0.1'])
      const way = waysTo(t, before.port, lookup, { longestLifeMs: 200 })[name]
      assert.equal(await way(), 200)
      state.addresses = ['127.0.0.2']
      await eventually('the new address is asked', async () => {
        assert.equal(await way(), 200)
        return now.accepted() > 0
      })
    })
  }

  const keeping: [what: string, idleTimeoutMs: number, left: number][] = [
    ['at most 16 connections are kept when they are idle', 30_000, 16],
    ['no connection is kept for longer than idleTimeoutMs', 200, 0],
  ]
  for (const [what, idleTimeoutMs, left] of keeping) {
    test(`${what}, over all hosts of an agent`, async (t) => {
      const server = await startServer(t, { host: '127.0.0.1' })
      const { lookup } = dns(['127.0.0.1'])
      const entry = listed('reg.example', new URL(`http://127.0.0.1:${server.port}`), {
        limits: { ...limits, idleTimeoutMs },
        allowAddresses: ['127.0.0.0/8'],
      })
      const agents = createAgents(entry, { lookup })
      t.after(agents.close)
      const urls = Array.from({ length: 40 }, (_, place) => new URL(`http://s${place % 8}.invalid:${server.port}/slow`))
      const ended = await Promise.all(urls.map((url) => viaAgent(url, agents.elsewhere(url))))
      assert.deepEqual(new Set(ended), new Set([200]))
      await eventually('the others are closed', () => server.open() <= left)
    })

    test(`${what}, by the lane`, async (t) => {
      const server = await startServer(t, { host: '127.0.0.1' })
      const place = { host: '127.0.0.1', port: server.port, tls: undefined, connectTimeoutMs: 10_000 }
      const lane = createLane(place, { maxConnections: 64, idleTimeoutMs })
      t.after(() => lane.close())
      const ended = await Promise.all(Array.from({ length: 40 }, () => viaLane(lane, '/slow')))
      assert.deepEqual(new Set(ended), new Set([200]))
      await eventually('the others are closed', () => server.open() <= left)
    })
  }

  test('an answer that takes longer than idleTimeoutMs is not taken for an idle connection', async (t) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', async () => {
        await sleep(400)
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
        await sleep(400)
        socket.end('{}')
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const agents = createAgents(listed('reg.example', origin, { limits: { ...limits, idleTimeoutMs: 100 } }))
    t.after(agents.close)
    const got = await new Promise<string>((resolve, reject) => {
      const request = httpRequest(origin, { agent: agents.registry })
      request.on('error', reject).on('response', (answer) => {
        let body = ''
        answer
          .on('data', (piece) => (body += piece))
          .on('end', () => resolve(body))
          .on('error', reject)
      })
      request.end()
    })
    assert.equal(got, '{}')
  })
})
