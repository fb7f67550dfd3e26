import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { get, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createAgents } from '../../src/upstream/agents.ts'
import { ask } from '../../src/upstream/ask.ts'
import { eventually } from '../helpers/eventually.ts'
import { listed } from '../helpers/proxy.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { startTokenServer } from '../helpers/token-server.ts'
import { skipWithout } from '../helpers/tools.ts'

const never = new AbortController().signal
const limits = { connectTimeoutMs: 10_000, answerTimeoutMs: 10_000, idleTimeoutMs: 30_000, maxConnections: 4 }

/** What a request ends with: its status, or the code of its error. */
async function outcome(
  to: URL,
  agent: Parameters<typeof ask>[0]['agent'],
  more: { timeoutMs?: number; maxBodyBytes?: number } = {},
): Promise<number | string> {
  try {
    const question = { method: 'GET', to, headers: {}, agent, timeoutMs: 20_000, maxBodyBytes: 1_000, ...more } as const
    return (await ask(question, never)).status
  } catch (error) {
    return (error as { code: string }).code
  }
}

test('case 24: other origins are refused on loopback by literal and by name, and the registry itself is not', async (t) => {
  const server = await startTokenServer()
  const agents = createAgents(listed('reg.example', server.origin, { limits }))
  t.after(() => server.close())
  t.after(agents.close)
  const { port } = server.origin
  const elsewhere = (host: string) => outcome(new URL(`http://${host}:${port}/`), agents.elsewhere(server.origin))
  for (const host of [
    '127.0.0.1',
    'localhost',
    '2130706433',
    '0x7f000001',
    '127.1',
    '0.0.0.0',
    '[::1]',
    '[::ffff:127.0.0.1]',
  ]) {
    assert.equal(await elsewhere(host), 'ADDRESS_REFUSED', host)
  }
  assert.equal(await outcome(new URL('https://127.0.0.1/'), agents.elsewhere(new URL('https://x'))), 'ADDRESS_REFUSED')
  assert.equal(server.requests.length, 0)
  assert.equal(await outcome(server.origin, agents.towards(server.origin)), 200)
})

test('a listed range may be connected to', async (t) => {
  const server = await startTokenServer()
  const agents = createAgents(
    listed('reg.example', new URL('https://reg.example'), { limits, allowAddresses: ['127.0.0.0/8'] }),
  )
  t.after(() => server.close())
  t.after(agents.close)
  assert.equal(await outcome(server.origin, agents.towards(server.origin)), 200)
})

test('case 24: an IPv6 address in brackets, as URL.hostname gives it, is checked and connected to like one without', async (t) => {
  const codeWith = (allowAddresses: string[]) =>
    new Promise((resolve) => {
      const agents = createAgents(listed('reg.example', new URL('https://reg.example'), { limits, allowAddresses }))
      t.after(agents.close)
      const agent = agents.elsewhere(new URL('http://[::1]/'))
      get({ hostname: '[::1]', port: 1, agent }).once('error', ({ code }: NodeJS.ErrnoException) => resolve(code))
    })
  assert.equal(await codeWith([]), 'ADDRESS_REFUSED')
  assert.match(String(await codeWith(['::1'])), /^(?:ECONNREFUSED|EADDRNOTAVAIL)$/)
})

test('a connection is kept for the next request, and asked again on where the server has just closed it', async (t) => {
  const server = await startTokenServer()
  const agents = createAgents(listed('reg.example', server.origin, { limits }))
  t.after(() => server.close())
  t.after(agents.close)
  const ports = new Set<number | undefined>()
  server.answer = (_request, response) => {
    ports.add(response.socket?.remotePort)
    response.end('{}')
  }
  for (let i = 0; i < 3; i++) assert.equal(await outcome(server.origin, agents.registry), 200)
  assert.equal(ports.size, 1)
  server.answer = (_request, response) => {
    // Only the first request meets a connection that is cut without an answer.
    if (ports.has(response.socket?.remotePort)) response.socket?.resetAndDestroy()
    else response.end('{}')
  }
  assert.equal(await outcome(server.origin, agents.registry), 200)
})

test('no more connections are opened to a registry than it is allowed', async (t) => {
  const server = await startTokenServer()
  const agents = createAgents(listed('reg.example', server.origin, { limits }))
  t.after(() => server.close())
  t.after(agents.close)
  let open = 0
  let most = 0
  const asking: ServerResponse[] = []
  server.answer = (_request, response) => {
    most = Math.max(most, ++open)
    asking.push(response)
  }
  const outcomes = Promise.all(Array.from({ length: 20 }, () => outcome(server.origin, agents.registry)))
  for (let round = 0; round < 5; round++) {
    await eventually('as many ask as may', () => asking.length >= 4)
    for (const response of asking.splice(0)) response.end('{}', () => open--)
  }
  assert.deepEqual(new Set(await outcomes), new Set([200]))
  assert.equal(most, 4)
})

test('a server that takes the connection and then says nothing of TLS is given up', async (t) => {
  const silent = createTcpServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const origin = new URL(`https://127.0.0.1:${(silent.address() as AddressInfo).port}`)
  const agents = createAgents(listed('reg.example', origin, { limits: { ...limits, connectTimeoutMs: 300 } }))
  t.after(() => silent.close())
  t.after(agents.close)
  const start = performance.now()
  assert.equal(await outcome(origin, agents.registry), 'UPSTREAM_TIMEOUT')
  assert.ok(performance.now() - start < 10_000)
})

test('an answer that comes in drops for ever, one that is too long and one that is no HTTP are given up', async (t) => {
  const server = await startTokenServer()
  const agents = createAgents(listed('reg.example', server.origin, { limits }))
  t.after(() => server.close())
  t.after(agents.close)
  server.answer = (_request, response) => {
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  }
  assert.equal(await outcome(server.origin, agents.registry, { timeoutMs: 200 }), 'UPSTREAM_TIMEOUT')
  server.answer = (_request, response) => response.end('x'.repeat(1_001))
  assert.equal(await outcome(server.origin, agents.registry), 'UPSTREAM_MALFORMED')
  server.answer = (_request, response) => response.end('x'.repeat(1_000))
  assert.equal(await outcome(server.origin, agents.registry), 200)
  server.answer = (_request, response) => response.socket?.end('hello\r\n\r\n')
  assert.equal(await outcome(server.origin, agents.registry), 'UPSTREAM_MALFORMED')
  server.answer = (_request, response) => {
    response.writeHead(200, { 'content-length': 10 }).write('{}')
    setTimeout(() => response.socket?.destroy(), 20)
  }
  assert.equal(await outcome(server.origin, agents.registry), 'UPSTREAM_UNREACHABLE')
})

test('headers of 60 KiB are read', async (t) => {
  const server = await startTokenServer()
  const agents = createAgents(listed('reg.example', server.origin, { limits }))
  t.after(() => server.close())
  t.after(agents.close)
  server.answer = (_request, response) => response.writeHead(200, { 'x-big': 'x'.repeat(60_000) }).end('{}')
  assert.equal(await outcome(server.origin, agents.registry), 200)
})

test('TLS: the registry must show its server name, signed by an authority of the system or its own', {
  skip: skipWithout('openssl'),
}, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-agents-'))
  t.after(() => rm(dir, { recursive: true }))
  const ca = await makeCa(dir)
  const certificate = await makeServerCertificate(ca, dir, ['registry.corp.example'])
  const server = await startTokenServer({
    tls: { cert: certificate.cert, key: await readFile(certificate.keyFile, 'utf8') },
  })
  t.after(() => server.close())
  const agents = {
    right: createAgents(listed('a', server.origin, { limits, ca: ca.cert, serverName: 'registry.corp.example' })),
    otherName: createAgents(listed('b', server.origin, { limits, ca: ca.cert })),
    noCa: createAgents(listed('c', server.origin, { limits, serverName: 'registry.corp.example' })),
  }
  t.after(() =>
    Object.values(agents).forEach(({ close }) => {
      close()
    }),
  )
  assert.equal(await outcome(server.origin, agents.right.registry), 200)
  assert.equal(await outcome(server.origin, agents.otherName.registry), 'UPSTREAM_UNREACHABLE')
  assert.equal(await outcome(server.origin, agents.noCa.registry), 'UPSTREAM_UNREACHABLE')
  assert.equal(server.requests.length, 1)
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.after(() => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'])
  assert.equal(await outcome(server.origin, agents.noCa.registry), 'UPSTREAM_UNREACHABLE')
})
