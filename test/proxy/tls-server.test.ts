import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rename } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { followTlsFiles, type TlsFiles } from '../../src/proxy/tls-files.ts'
import { eventually } from '../helpers/eventually.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed, startTestProxy, type TestProxy } from '../helpers/proxy.ts'
import { type Certificate, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'
import { raw } from './cases/kit.ts'
import { askTls, makeTlsPlace, type TlsPlace } from './tls-kit.ts'

const NAME = 'registry.corp.example'
const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`
const BLOB = Buffer.alloc(24 * 1024 * 1024)
for (let place = 0; place < BLOB.length; place += 4) BLOB.writeUInt32LE((place * 2_654_435_761) % 2 ** 32, place)
const skip = skipWithout('openssl')
const quiet = { info: () => {}, error: () => {} }
const LIMITS = { headersTimeoutMs: 12_000, maxConnections: 20 }

describe('the listener over TLS', { skip }, () => {
  let place: TlsPlace
  let files: TlsFiles
  let registry: FakeRegistry
  let proxy: TestProxy
  let good: Certificate
  let blobPath: string
  const open: Socket[] = []

  before(async () => {
    registry = await startFakeRegistry({ auth: 'none' })
    registry.addManifest('team/app', '1', { schemaVersion: 2 })
    blobPath = `/v2/team/app/blobs/${registry.addBlob(BLOB)}?ns=${NAME}`
  })
  beforeEach(async () => {
    place = await makeTlsPlace()
    good = await place.clientCa.issue('node-1')
    files = await followTlsFiles(place.paths, { host: '127.0.0.1', port: 0 }, quiet)
    proxy = await startTestProxy([patientRegistry()], { mode: 'mtls', tls: files }, LIMITS)
    registry.script = undefined
  })
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy()
    await proxy?.close(0)
    files?.close()
    await place?.remove()
  })
  after(() => registry?.close())

  const patientRegistry = () => {
    const { limits, ...rest } = listed(NAME, registry.origin)
    return { ...rest, limits: { ...limits, answerTimeoutMs: 20_000 } }
  }
  const ask = (path: string, show: Certificate | undefined = good) => askTls(place, proxy.port, path, { show })
  const silent = async (bytes = '') => {
    const socket = connect(proxy.port, '127.0.0.1')
    open.push(socket)
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (bytes !== '') socket.write(Buffer.from(bytes, 'hex'))
    return socket
  }
  /** The beginning of a ClientHello, and no more. */
  const HALF_HELLO = '1603010200010001fc0303'

  test('case 16 turned round: plain HTTP is told with words that this port speaks TLS, and so is any other noise', async () => {
    for (const bytes of ['GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 'SSH-2.0-x\r\n', '\0\0\0\0']) {
      const { answer, ended } = await raw(proxy.port, bytes)
      assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\nthis port speaks TLS: ask by https:\/\/\n$/)
      assert.equal(ended, 'closed')
    }
    assert.equal(proxy.ended.length, 0)
  })

  test('a connection that says nothing, and one whose handshake stops half-way, are closed in time', async () => {
    await proxy.close(0)
    const strict = { ...LIMITS, headersTimeoutMs: 800 }
    proxy = await startTestProxy([patientRegistry()], { mode: 'mtls', tls: files }, strict)
    const sockets = [await silent(), await silent(HALF_HELLO)]
    await Promise.all(sockets.map((socket) => once(socket, 'close')))
    assert.equal((await ask(MANIFEST)).status, 200)
  })

  test('half-open handshakes without number do not keep a caller out', async () => {
    for (let count = 0; count < LIMITS.maxConnections * 2; count++) await silent(count % 2 === 0 ? HALF_HELLO : '')
    assert.equal((await ask(MANIFEST)).status, 200)
    assert.ok((await proxy.connections()) <= LIMITS.maxConnections, `${await proxy.connections()} connections`)
  })

  test('a connection at work is not cut for new ones', async () => {
    let answered = () => {}
    registry.script = (_request, response) => {
      answered = () => void response.writeHead(404, { 'content-length': 0 }).end()
      return true
    }
    registry.requests.length = 0
    const slow = ask(MANIFEST)
    await eventually('it is asked', () => registry.requests.length > 0)
    for (let count = 0; count < LIMITS.maxConnections * 2; count++) await silent(HALF_HELLO)
    answered()
    assert.equal((await slow).status, 404)
  })

  test('a blob comes whole to a caller who reads slowly, by the lane', async () => {
    const key = await readFile(good.keyFile)
    const socket = connectTls({ host: '127.0.0.1', port: proxy.port, ca: place.serverCa.cert, cert: good.cert, key })
    open.push(socket)
    await once(socket, 'secureConnect')
    socket.write(`GET ${blobPath} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
    const hash = createHash('sha256')
    let head = ''
    let size = 0
    for await (const piece of socket as AsyncIterable<Buffer>) {
      const at = head.includes('\r\n\r\n') ? 0 : piece.indexOf('\r\n\r\n') + 4
      if (at > 0) head = piece.subarray(0, at).toString()
      hash.update(piece.subarray(at))
      size += piece.length - at
      if (size % 7 === 0) await sleep(1)
    }
    assert.match(head, /^HTTP\/1\.1 200 /)
    assert.deepEqual([size, `sha256:${hash.digest('hex')}`], [BLOB.length, blobPath.split('/').at(-1)?.split('?')[0]])
    await eventually('it has ended', () => proxy.ended.length === 1)
    assert.deepEqual([proxy.ended[0]?.outcome.complete, proxy.ended[0]?.outcome.bytes], [true, BLOB.length])
  })

  test('an answer that the lane does not take is streamed without a word of node’s about listeners', async (t) => {
    const warnings: string[] = []
    const note = ({ name }: Error) => void warnings.push(name)
    process.on('warning', note)
    t.after(() => process.off('warning', note))
    registry.script = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{')
      setTimeout(() => response.end('}'), 20)
      return true
    }
    const answer = await ask(MANIFEST)
    assert.deepEqual([answer.status, answer.body.toString()], [200, '{}'])
    // Node tells of it at the next turn.
    await sleep(10)
    assert.ok(!warnings.includes('MaxListenersExceededWarning'), warnings.join())
  })

  test('a caller who leaves in mid-blob ends the exchange as incomplete', async () => {
    const key = await readFile(good.keyFile)
    const socket = connectTls({ host: '127.0.0.1', port: proxy.port, ca: place.serverCa.cert, cert: good.cert, key })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    socket.write(`GET ${blobPath} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    await once(socket, 'data')
    socket.destroy()
    await eventually('it has ended', () => proxy.ended.length === 1)
    assert.equal(proxy.ended[0]?.outcome.complete, false)
  })

  test('a caller of HTTP/1.0 gets a reset when a body without a length is cut, and the daemon lives', async () => {
    registry.script = (request, response) => {
      if (!request.url?.includes('/blobs/')) return false
      response.writeHead(200, { 'transfer-encoding': 'chunked' }).write('half')
      setTimeout(() => request.socket.destroy(), 50)
      return true
    }
    const key = await readFile(good.keyFile)
    const socket = connectTls({ host: '127.0.0.1', port: proxy.port, ca: place.serverCa.cert, cert: good.cert, key })
    socket.resume()
    await once(socket, 'secureConnect')
    socket.write(`GET ${blobPath} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`)
    const [error] = await once(socket, 'error', { signal: AbortSignal.timeout(10_000) })
    assert.equal(error.code, 'ECONNRESET')
    assert.equal((await ask(MANIFEST)).status, 200)
  })

  test('a stop lets the pull under way end, takes no new ones and waits for no handshake', async () => {
    let answered = () => {}
    registry.script = (_request, response) => {
      answered = () => void response.writeHead(404, { 'content-length': 0 }).end()
      return true
    }
    registry.requests.length = 0
    const slow = ask(MANIFEST)
    await eventually('it is asked', () => registry.requests.length > 0)
    await silent(HALF_HELLO)
    await silent()
    const startedMs = performance.now()
    const closed = proxy.close(10_000)
    await assert.rejects(ask(MANIFEST), /ECONNREFUSED/)
    answered()
    assert.equal((await slow).status, 404)
    await closed
    assert.ok(performance.now() - startedMs < 8_000, `${performance.now() - startedMs} ms`)
  })

  test('a new certificate is shown to new connections, and those from before stay', async () => {
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 1,
      ca: place.serverCa.cert,
      cert: good.cert,
      key: await readFile(good.keyFile),
    })
    const first = await askKept(agent)
    const renewed = await makeServerCertificate(place.serverCa, join(place.folder, 'server'), ['127.0.0.1'])
    await rename(renewed.keyFile, place.paths.keyFile)
    await rename(renewed.certFile, place.paths.certFile)
    await eventually('it is taken', () => files.now().cert === renewed.cert, 15_000)
    const kept = await askKept(agent)
    assert.deepEqual([kept.status, kept.port, kept.serial], [200, first.port, first.serial])
    agent.destroy()
    const fresh = new Agent({ ca: place.serverCa.cert, cert: good.cert, key: await readFile(good.keyFile) })
    assert.notEqual((await askKept(fresh)).serial, first.serial)
    fresh.destroy()
  })

  test('a certificate that is revoked opens no more within seconds, nor does its connection or session from before', async () => {
    const own = { ca: place.serverCa.cert, cert: good.cert, key: await readFile(good.keyFile) }
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...own })
    const first = await askKept(agent)
    assert.equal(first.status, 200)
    await place.clientCa.revoke(good)
    await place.clientCa.writeCrl(place.paths.crlFile)
    const later = await eventually(
      'it is refused',
      async () => {
        // A request may meet its kept connection just as that is closed.
        const got = await askKept(agent).catch(() => undefined)
        return got?.status === 403 && got
      },
      15_000,
    )
    assert.notEqual(later.port, first.port)
    assert.match(later.body, /it is revoked/)
    agent.destroy()
  })

  for (const [where, begin] of [
    ['before its answer', (response: ServerResponse) => void response],
    [
      'in the middle of its answer',
      (response: ServerResponse) => response.writeHead(200, { 'content-length': 4 }).write('ab'),
    ],
  ] as const) {
    test(`a connection that is ${where} when its certificate is revoked ends with that request`, async () => {
      const own = { ca: place.serverCa.cert, cert: good.cert, key: await readFile(good.keyFile) }
      const agent = new Agent({ keepAlive: true, maxSockets: 1, ...own })
      let answered = () => {}
      registry.script = (_request, response) => {
        begin(response)
        answered = () => {
          if (!response.headersSent) response.writeHead(200, { 'content-length': 2 })
          response.end('cd')
        }
        return true
      }
      registry.requests.length = 0
      const atWork = askKept(agent)
      await eventually('it is asked', () => registry.requests.length > 0)
      await place.clientCa.revoke(good)
      const before = files.now()
      await place.clientCa.writeCrl(place.paths.crlFile)
      await eventually('the list is taken', () => files.now() !== before, 15_000)
      answered()
      const first = await atWork
      assert.deepEqual([first.status, first.body.slice(-2)], [200, 'cd'])
      await eventually('its connection is closed', () => Object.keys(agent.freeSockets).length === 0)
      assert.equal((await askKept(agent)).status, 403)
      agent.destroy()
      assert.equal(registry.requests.length, 1)
    })
  }

  test('no session is taken up again: each connection shows its certificate anew', async () => {
    const own = { ca: place.serverCa.cert, cert: good.cert, key: await readFile(good.keyFile) }
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      let session: Buffer | undefined
      const first = connectTls({ host: '127.0.0.1', port: proxy.port, maxVersion, ...own })
      first.on('session', (given: Buffer) => (session = given))
      await once(first, 'secureConnect')
      first.write(`GET ${MANIFEST} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
      first.resume()
      await once(first, 'close')
      session ??= first.getSession()
      const second = connectTls({
        host: '127.0.0.1',
        port: proxy.port,
        maxVersion,
        ...own,
        ...(session && { session }),
      })
      await once(second, 'secureConnect')
      assert.equal(second.isSessionReused(), false, maxVersion)
      second.destroy()
    }
  })

  test('a connection of TLS 1.2 cannot show another certificate later on', async () => {
    const own = { ca: place.serverCa.cert, cert: good.cert, key: await readFile(good.keyFile) }
    const socket = connectTls({ host: '127.0.0.1', port: proxy.port, maxVersion: 'TLSv1.2', ...own })
    open.push(socket)
    await once(socket, 'secureConnect')
    const ended = await new Promise<string>((resolve) => {
      socket.on('error', () => resolve('refused'))
      socket.renegotiate({}, (error) => resolve(error === null ? 'renegotiated' : 'refused'))
    })
    assert.equal(ended, 'refused')
    assert.equal((await ask(MANIFEST)).status, 200)
  })

  test('what the lane does not take comes whole, too', async () => {
    registry.script = (request, response) => {
      if (!request.url?.includes('/blobs/')) return false
      response.writeHead(200, { 'transfer-encoding': 'chunked' })
      response.end(BLOB)
      return true
    }
    const { status, body } = await ask(blobPath)
    assert.deepEqual([status, body.equals(BLOB)], [200, true])
  })

  function askKept(agent: Agent): Promise<{ status: number; port: number; serial: string; body: string }> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest({ host: '127.0.0.1', port: proxy.port, path: MANIFEST, agent }, (answer) => {
        const { localPort = 0 } = answer.socket
        const serial = (
          answer.socket as unknown as { getPeerCertificate(): { serialNumber: string } }
        ).getPeerCertificate()
        let body = ''
        answer.on('data', (piece) => (body += piece))
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, port: localPort, serial: serial.serialNumber, body }),
        )
      })
      request.on('error', reject)
      request.end()
    })
  }
})
