import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { Agent, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Registry } from '../../src/config/config.ts'
import { RegcreddError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import type { Lookup } from '../../src/upstream/address.ts'
import { createAgents } from '../../src/upstream/agents.ts'
import { ask } from '../../src/upstream/ask.ts'
import type { EgressProxy } from '../../src/upstream/egress.ts'
import { openTunnel } from '../../src/upstream/tunnel.ts'
import { startEgressProxy } from '../helpers/egress-proxy.ts'
import { eventually } from '../helpers/eventually.ts'
import { listed } from '../helpers/proxy.ts'
import { type Certificate, makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { startTokenServer } from '../helpers/token-server.ts'
import { skipWithout } from '../helpers/tools.ts'

const skip = skipWithout('openssl')
const never = new AbortController().signal
const limits = { connectTimeoutMs: 10_000, answerTimeoutMs: 10_000, idleTimeoutMs: 30_000, maxConnections: 4 }
/** For what hangs; of the tests' own ways none may need so long. */
const hasty = { ...limits, connectTimeoutMs: 1_000 }
/** A name that this machine's DNS does not know. */
const NAME = 'registry.invalid'

let folder = ''
let ca: Certificate
let certificate: Certificate
let foreign: Certificate
before(async () => {
  if (skip !== false) return
  folder = await mkdtemp(join(tmpdir(), 'regcredd-tunnel-'))
  const other = await mkdtemp(join(folder, 'other-'))
  ca = await makeCa(folder)
  certificate = await makeServerCertificate(ca, folder, [NAME, 'store.invalid', 'localhost', '127.0.0.1', '10.1.2.3'])
  foreign = await makeServerCertificate(await makeCa(other), other, [NAME])
})
after(() => (folder === '' ? undefined : rm(folder, { recursive: true })))

const pems = async ({ cert, keyFile }: Certificate) => ({ cert, key: await readFile(keyFile, 'utf8') })

type More = {
  by?: Certificate
  tls?: boolean
  proxyTls?: boolean
  login?: string
  shown?: EgressProxy['login']
  entry?: Partial<Registry>
  lookup?: Lookup
  proxyCa?: string
}

/** A registry that is known to the proxy alone, and agents that go by it. */
async function start(t: TestContext, more: More = {}) {
  const isTls = more.tls !== false
  const server = await startTokenServer(isTls ? { tls: await pems(more.by ?? certificate) } : {})
  const proxyServer = await startEgressProxy({
    ...(more.login !== undefined && { login: more.login }),
    ...(more.proxyTls && { tls: await pems(certificate) }),
  })
  const port = Number(server.origin.port)
  for (const target of [`${NAME}:443`, 'store.invalid:443', '10.1.2.3:80', '10.1.2.3:443', '[2001:db8::1]:443'])
    proxyServer.places.set(target, port)
  const proxy: EgressProxy = { url: proxyServer.url, login: more.shown, ca: more.proxyCa }
  const origin = new URL(isTls ? `https://${NAME}` : 'http://10.1.2.3')
  const agents = createAgents(listed('reg.example', origin, { limits, ca: ca.cert, ...more.entry }), {
    egress: { proxyFor: () => proxy },
    ...(more.lookup && { lookup: more.lookup }),
  })
  t.after(async () => {
    agents.close()
    await server.close()
    await proxyServer.close().catch(() => undefined)
  })
  return { server, proxyServer, agents, origin }
}

/** What a request ends with: its status, or its error. */
async function outcome(to: URL, agent: Agent, timeoutMs = 20_000): Promise<number | RegcreddError> {
  try {
    return (await ask({ method: 'GET', to, headers: {}, agent, timeoutMs, maxBodyBytes: 1_000 }, never)).status
  } catch (error) {
    assert.ok(error instanceof RegcreddError, String(error))
    return error
  }
}

async function failing(to: URL, agent: Agent): Promise<RegcreddError> {
  const ended = await outcome(to, agent)
  assert.ok(ended instanceof RegcreddError, `it ended with ${ended}`)
  return ended
}

test('a registry that only the proxy knows is asked through it, TLS is between it and us, and the tunnel is kept', {
  skip,
}, async (t) => {
  const { server, proxyServer, agents, origin } = await start(t)
  for (let i = 0; i < 3; i++) assert.equal(await outcome(origin, agents.registry), 200)
  assert.equal(server.requests.length, 3)
  assert.equal(server.requests[0]?.headers.host, NAME)
  assert.deepEqual(proxyServer.asked, [{ target: `${NAME}:443`, authorization: undefined }])
  assert.equal(agents.isStraight, false)
})

test('the far end of a tunnel is believed only with the registry’s authority and name', { skip }, async (t) => {
  const wrongCa = await start(t, { by: foreign })
  const unknown = await failing(wrongCa.origin, wrongCa.agents.registry)
  assert.deepEqual([unknown.code, /caFile/.test(unknown.message)], ['UPSTREAM_UNREACHABLE', true])
  const wrongName = await start(t, { entry: { serverName: 'other.invalid' } })
  const named = await failing(wrongName.origin, wrongName.agents.registry)
  assert.deepEqual([named.code, /another name/.test(named.message)], ['UPSTREAM_UNREACHABLE', true])
  assert.equal(wrongCa.server.requests.length + wrongName.server.requests.length, 0)
  const rightName = await start(t, { entry: { serverName: 'store.invalid' } })
  assert.equal(await outcome(rightName.origin, rightName.agents.registry), 200)
})

test('plain http and addresses go through a tunnel too', { skip }, async (t) => {
  const { proxyServer, agents, origin, server } = await start(t, { tls: false })
  assert.equal(await outcome(origin, agents.registry), 200)
  assert.equal(await outcome(new URL('/v2/x', origin), agents.registry), 200)
  assert.deepEqual(
    proxyServer.asked.map(({ target }) => target),
    ['10.1.2.3:80'],
  )
  assert.equal(server.requests[1]?.url.pathname, '/v2/x')
  const byAddress = await start(t, { entry: { upstream: new URL('https://10.1.2.3') } })
  assert.equal(await outcome(new URL('https://10.1.2.3'), byAddress.agents.registry), 200)
  const ipv6 = await start(t, { entry: { upstream: new URL('https://[2001:db8::1]'), serverName: NAME } })
  assert.equal(await outcome(new URL('https://[2001:db8::1]'), ipv6.agents.registry), 200)
  assert.equal(ipv6.proxyServer.asked[0]?.target, '[2001:db8::1]:443')
})

test('a proxy is itself spoken to by TLS where its URL says so, and believed by its authority', { skip }, async (t) => {
  const { agents, origin } = await start(t, { proxyTls: true, proxyCa: ca.cert })
  assert.equal(await outcome(origin, agents.registry), 200)
  assert.equal(await outcome(origin, agents.registry), 200)
  const unknown = await start(t, { proxyTls: true })
  const { code, message } = await failing(unknown.origin, unknown.agents.registry)
  assert.deepEqual([code, /unknown authority|not trusted/.test(message)], ['EGRESS_PROXY_FAILED', true])
  assert.equal(unknown.proxyServer.asked.length, 0)
})

test('a login is shown to the proxy alone', { skip }, async (t) => {
  const shown = { username: 'egress', secret: new Secret('planted') }
  const { agents, origin, proxyServer, server } = await start(t, { login: 'egress:planted', shown })
  assert.equal(await outcome(origin, agents.registry), 200)
  assert.equal(proxyServer.asked[0]?.authorization, `Basic ${Buffer.from('egress:planted').toString('base64')}`)
  assert.doesNotMatch(JSON.stringify(server.requests), /planted|proxy-/i)
})

type Fault = [name: string, script: (socket: Socket) => void, says: RegExp]
const faults: Fault[] = [
  [
    'asks for a login',
    (socket) => void socket.end('HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n'),
    /answered 407.*egress\.credentialsFile/,
  ],
  [
    'refuses the login as tinyproxy does',
    (socket) => void socket.end('HTTP/1.0 401 x\r\n\r\n'),
    /answered 401, it refuses the login/,
  ],
  ['lets nobody through', (socket) => void socket.end('HTTP/1.1 403 x\r\n\r\n'), /answered 403.*through/],
  ['does not reach the registry', (socket) => void socket.end('HTTP/1.0 504 x\r\n\r\n'), /answered 504.*reach/],
  ['redirects', (socket) => void socket.end('HTTP/1.1 302 x\r\nLocation: http://planted\r\n\r\n'), /answered 302/],
  ['hangs', () => undefined, /in time/],
  ['hangs in mid-answer', (socket) => void socket.write('HTTP/1.1 20'), /in time/],
  ['answers garbage', (socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n'), /not answer as an HTTP proxy/],
  [
    'answers binary garbage',
    (socket) => void socket.write(Buffer.from([0x15, 3, 1, 0, 2, 2, 40, 0, 0])),
    /not answer as an HTTP proxy/,
  ],
  ['answers with half a status line', (socket) => void socket.write('HTTP/1.1\r\n\r\n'), /not answer as an HTTP proxy/],
  [
    'answers with HTTP of the future',
    (socket) => void socket.write('HTTP/3.0 200 OK\r\n\r\n'),
    /not answer as an HTTP proxy/,
  ],
  [
    'answers without end',
    (socket) => void socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`),
    /not answer as an HTTP proxy/,
  ],
  [
    'says more than it may',
    (socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\n<html>planted'),
    /not answer as an HTTP proxy/,
  ],
  ['closes', (socket) => void socket.end(), /closed the connection/],
  ['resets', (socket) => void socket.resetAndDestroy(), /closed the connection/],
  [
    'cuts the tunnel before TLS stands',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.once('readable', () => socket.resetAndDestroy())
    },
    /cut when TLS began/,
  ],
  [
    'opens a tunnel to nowhere',
    (socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\n'),
    /TLS to the other end did not stand in time/,
  ],
]
for (const [name, script, says] of faults) {
  test(`a proxy that ${name} is an EGRESS_PROXY_FAILED in time that names it, and the next request tries again`, {
    skip,
  }, async (t) => {
    const shown = name === 'asks for a login' ? undefined : { username: 'planted', secret: new Secret('planted') }
    const isHanging = says.source.endsWith('in time')
    const { agents, origin, proxyServer, server } = await start(t, {
      shown,
      entry: { limits: isHanging ? hasty : limits },
    })
    proxyServer.script = (socket) => {
      script(socket)
      return true
    }
    const startedAtMs = performance.now()
    const error = await failing(origin, agents.registry)
    assert.equal(error.code, 'EGRESS_PROXY_FAILED')
    assert.match(error.message, says)
    assert.ok(error.message.includes(proxyServer.host), error.message)
    assert.doesNotMatch(error.message, /planted|registry\.invalid/)
    assert.ok(performance.now() - startedAtMs < 8_000)
    assert.equal(server.requests.length, 0)
    proxyServer.script = undefined
    assert.equal(await outcome(origin, agents.registry), 200)
  })
}

test('an answer that comes byte by byte is read as one that comes at once', { skip }, async (t) => {
  const { agents, origin, proxyServer, server } = await start(t)
  proxyServer.script = (socket, target) => {
    void (async () => {
      for (const byte of Buffer.from('HTTP/1.0 200\r\nVia: x\r\n\r\n').toString('latin1')) {
        socket.write(byte)
        await sleep(1)
      }
      const other = connect(proxyServer.places.get(target) ?? 0, '127.0.0.1')
      socket.pipe(other).pipe(socket)
    })()
    return true
  }
  assert.equal(await outcome(origin, agents.registry), 200)
  assert.equal(server.requests.length, 1)
})

test('whatever a proxy answers, cut wherever, it is a tunnel or an EGRESS_PROXY_FAILED', { skip }, async () => {
  const proxyServer = await startEgressProxy()
  const proxy: EgressProxy = { url: proxyServer.url, login: undefined, ca: undefined }
  const part = fc.constantFrom(
    'HTTP/1.1 ',
    'HTTP/1.0 ',
    'HTTP/2',
    '200',
    '299',
    '199',
    '407',
    '2000',
    ' OK',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ':',
    'x',
    '\0',
    ' ',
  )
  const answer = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''))
  try {
    await fc.assert(
      fc.asyncProperty(answer, fc.nat({ max: 30 }), async (text, cut) => {
        proxyServer.script = (socket) => {
          socket.write(text.slice(0, cut), 'latin1')
          setImmediate(() => socket.end(text.slice(cut), 'latin1'))
          return true
        }
        const isTunnel = /^HTTP\/1\.[01] 2\d\d(?: [^\r\n]*)?\r\n/.test(text) && text.includes('\r\n\r\n')
        const ended = await openTunnel(proxy, { host: 'a', port: 1 }, AbortSignal.timeout(10_000)).then(
          (socket) => {
            socket.destroy()
            return 'tunnel'
          },
          ({ code }) => code,
        )
        assert.ok(ended === 'EGRESS_PROXY_FAILED' || (ended === 'tunnel' && isTunnel), `${ended}: ${text}`)
      }),
      { numRuns: 200 },
    )
  } finally {
    await proxyServer.close()
  }
})

test('a proxy that is down is an EGRESS_PROXY_FAILED that names it', { skip }, async (t) => {
  const { agents, origin, proxyServer } = await start(t)
  await proxyServer.close()
  const { code, message } = await failing(origin, agents.registry)
  assert.deepEqual(
    [code, message.includes(`${proxyServer.host}: nothing listens there`)],
    ['EGRESS_PROXY_FAILED', true],
  )
})

test('a burst opens no more tunnels than connections are allowed, and all of it is served', { skip }, async (t) => {
  const { agents, origin, proxyServer, server } = await start(t)
  server.answer = (_request, response) => void setTimeout(() => response.end('{}'), 10)
  const ended = await Promise.all(Array.from({ length: 30 }, () => outcome(origin, agents.registry)))
  assert.deepEqual(new Set(ended), new Set([200]))
  assert.ok(proxyServer.mostConnections() <= 4, `${proxyServer.mostConnections()} tunnels`)
})

test('a burst at a proxy that is down fails as a whole, and what comes later is served', { skip }, async (t) => {
  const { agents, origin, proxyServer } = await start(t)
  proxyServer.script = (socket) => {
    socket.destroy()
    return true
  }
  const ended = await Promise.all(Array.from({ length: 30 }, () => outcome(origin, agents.registry)))
  assert.ok(ended.every((one) => one instanceof RegcreddError && one.code === 'EGRESS_PROXY_FAILED'))
  proxyServer.script = undefined
  assert.equal(await outcome(origin, agents.registry), 200)
})

test('who gives up while a tunnel is being opened takes nobody’s place for longer than that', { skip }, async (t) => {
  const { agents, origin, proxyServer } = await start(t, { entry: { limits: hasty } })
  proxyServer.script = () => true
  const given = await Promise.all(Array.from({ length: 8 }, () => outcome(origin, agents.registry, 50)))
  assert.ok(given.every((one) => one instanceof RegcreddError && one.code === 'UPSTREAM_TIMEOUT'))
  proxyServer.script = undefined
  assert.equal(await outcome(origin, agents.registry), 200)
})

test('who waits for a tunnel hears of the end of his time then, and costs no tunnel afterwards', {
  skip,
}, async (t) => {
  const { agents, origin, proxyServer } = await start(t, { entry: { limits: { ...hasty, maxConnections: 1 } } })
  proxyServer.script = () => true
  const startedAtMs = performance.now()
  const given = await Promise.all(Array.from({ length: 6 }, () => outcome(origin, agents.registry, 100)))
  assert.ok(given.every((one) => one instanceof RegcreddError && one.code === 'UPSTREAM_TIMEOUT'))
  // Each of them in turn would take `connectTimeoutMs`.
  assert.ok(performance.now() - startedAtMs < 5 * hasty.connectTimeoutMs)
  // Behind them all, he has his own turn after the first of them.
  const last = await outcome(origin, agents.registry)
  assert.equal(last instanceof RegcreddError && last.code, 'EGRESS_PROXY_FAILED')
  assert.equal(proxyServer.asked.length, 2)
})

test('a store that never answers keeps nobody from another store behind the same proxy', { skip }, async (t) => {
  const lookup = knows({ 'store.invalid': ['192.88.98.1'], [NAME]: ['192.88.98.1'] })
  const { agents, server, proxyServer } = await start(t, { lookup })
  const [silent, good] = [new URL('https://store.invalid/silent'), new URL(`https://${NAME}`)]
  const held: ServerResponse[] = []
  server.answer = (request, response) =>
    void (request.url.pathname === '/silent' ? held.push(response) : response.end('{}'))
  const waiting = Array.from({ length: limits.maxConnections }, () => outcome(silent, agents.elsewhere(silent)))
  await eventually('all that may ask do', () => held.length === limits.maxConnections)
  assert.equal(proxyServer.asked.length, limits.maxConnections)
  assert.equal(await outcome(good, agents.elsewhere(good), 10_000), 200)
  for (const response of held) response.end('{}')
  await Promise.all(waiting)
})

/** A DNS of the test's own. */
const knows =
  (names: Record<string, string[]>, asked: string[] = []): Lookup =>
  (host, _options, callback) => {
    asked.push(host)
    const found = names[host]?.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    if (found === undefined) callback(Object.assign(new Error('none'), { code: 'ENOTFOUND' }), [])
    else callback(null, found)
  }

test('case 24: through a proxy, too, addresses and names that lead to private ranges are refused before it is asked', {
  skip,
}, async (t) => {
  const lookup = knows({ 'inside.invalid': ['192.0.2.1', '10.1.2.3'], 'meta.invalid': ['169.254.169.254'] })
  const { agents, proxyServer } = await start(t, { lookup })
  for (const host of [
    '10.1.2.3',
    '169.254.169.254',
    '[::1]',
    '167838211',
    'inside.invalid',
    'meta.invalid',
    'localhost.invalid.',
  ]) {
    const to = new URL(`https://${host}/`)
    const ended = await failing(to, agents.elsewhere(to))
    const isKnown = host !== 'localhost.invalid.'
    assert.equal(ended.code, isKnown ? 'ADDRESS_REFUSED' : 'EGRESS_PROXY_FAILED', host)
  }
  assert.deepEqual(
    proxyServer.asked.map(({ target }) => target),
    ['localhost.invalid.:443'],
  )
})

test('a store whose name is not known here is left to the proxy, and not looked up for each connection', {
  skip,
}, async (t) => {
  const asked: string[] = []
  const { agents, server } = await start(t, { lookup: knows({}, asked) })
  const store = new URL('https://store.invalid/')
  server.answer = (_request, response) => response.writeHead(200, { connection: 'close' }).end('{}')
  for (let i = 0; i < 3; i++) assert.equal(await outcome(store, agents.elsewhere(store)), 200)
  assert.deepEqual(asked, ['store.invalid'])
  await agents.checkTarget(store)
})

test('a store whose private address is listed is asked through the proxy', { skip }, async (t) => {
  const lookup = knows({ 'store.invalid': ['10.1.2.3'] })
  const { agents } = await start(t, { lookup, entry: { allowAddresses: ['10.0.0.0/8'] } })
  const store = new URL('https://store.invalid/')
  assert.equal(await outcome(store, agents.elsewhere(store)), 200)
})

test('a DNS that does not answer holds a connection through the proxy up for a moment only', { skip }, async (t) => {
  const { agents } = await start(t, {
    lookup: () => undefined,
    entry: { limits: { ...limits, connectTimeoutMs: 15_000 } },
  })
  const store = new URL('https://store.invalid/')
  const startedAtMs = performance.now()
  assert.equal(await outcome(store, agents.elsewhere(store)), 200)
  assert.ok(performance.now() - startedAtMs < 12_000)
})

test('no tunnel is left when the agents are closed', { skip }, async (t) => {
  const { agents, origin, proxyServer } = await start(t)
  assert.equal(await outcome(origin, agents.registry), 200)
  assert.equal(proxyServer.openConnections(), 1)
  agents.close()
  await eventually('it is closed', () => proxyServer.openConnections() === 0)
})
