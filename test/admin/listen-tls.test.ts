import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { ConnectionLimits } from '../../src/admin/bound-connections.ts'
import { listenTls } from '../../src/admin/listen-tls.ts'
import { followKeyPair, keyPairWarnings } from '../../src/admin/tls-files.ts'
import { eventually } from '../helpers/eventually.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'
import { createTokenDesk } from './token-kit.ts'

const NAME = 'node-1.corp.example'
const CHECK_MS = 100
const skip = skipWithout('openssl')

async function setting(context: TestContext, limits?: ConnectionLimits) {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-tls-'))
  context.after(() => rm(folder, { recursive: true }))
  const ca = await makeCa(folder)
  const certificate = async (name: string) => {
    await mkdir(join(folder, name))
    return makeServerCertificate(ca, join(folder, name), [NAME])
  }
  const first = await certificate('first')
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  await copyFile(first.certFile, files.certFile)
  await copyFile(first.keyFile, files.keyFile)
  const desk = createTokenDesk()
  const told: unknown[] = []
  const follow = async () => {
    const pairs = await followKeyPair(files, { onNews: (fault) => void told.push(fault), intervalMs: CHECK_MS })
    context.after(() => pairs.close())
    return pairs
  }
  const start = async () => {
    const pairs = await follow()
    const listen = { host: '127.0.0.1', port: 0 }
    const listener = await listenTls(desk.app, { listen, pairs, ...(limits !== undefined && { limits }) })
    return { ...listener, pairs }
  }
  return { folder, ca, certificate, files, desk, told, start }
}

async function started(context: TestContext, limits?: ConnectionLimits) {
  const all = await setting(context, limits)
  const listener = await all.start()
  context.after(() => listener.close(0))
  const options = { host: '127.0.0.1', port: listener.port, servername: NAME, ca: all.ca.cert }
  const open = async (more: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ ...options, ...more })
    context.after(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }
  const statusOf = (headers: Record<string, string>, path = '/v1/status') =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request({ ...options, path, headers: { host: NAME, ...headers }, agent: new Agent() })
      asked.on('response', (answer) => resolve(answer.resume().statusCode)).on('error', reject)
      asked.end()
    })
  return { ...all, listener, options, open, statusOf }
}

/** In one step, as nobody is to see half of it. */
async function replaceBy(source: string, path: string): Promise<void> {
  await copyFile(source, `${path}.new`)
  await rename(`${path}.new`, path)
}

test('the API answers by TLS to whom a token lets in', { skip }, async (context) => {
  const { desk, statusOf } = await started(context)
  assert.equal(await statusOf({}), 401)
  assert.equal(await statusOf({ authorization: await desk.tokenFor(['read']) }), 200)
  assert.equal(await statusOf({ authorization: await desk.tokenFor(['read']), host: 'localhost' }), 403)
})

test('TLS before 1.2, and no TLS at all, get nowhere', { skip }, async (context) => {
  const { open, options } = await started(context)
  assert.equal((await open()).getProtocol(), 'TLSv1.3')
  assert.equal((await open({ maxVersion: 'TLSv1.2' })).getProtocol(), 'TLSv1.2')
  // OpenSSL's level 0 lets this side offer what the other must refuse.
  await assert.rejects(
    open({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    /alert|EPROTO/,
  )
  const plain = connectPlain(options.port, options.host)
  context.after(() => plain.destroy())
  plain.write(`GET /v1/status HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`)
  plain.on('error', () => {}) // a reset is one way to be closed
  const closed = new Promise((resolve) => plain.once('close', resolve))
  let said = ''
  plain.on('data', (bytes) => {
    said += bytes.toString('latin1')
  })
  await closed
  assert.ok(!said.includes('HTTP/1.1 2'))
})

test('a renewed certificate is in force without a restart; one that has no key stays out', {
  skip,
}, async (context) => {
  const { certificate, files, told, open, listener } = await started(context)
  const serial = async () => (await open()).getPeerX509Certificate()?.serialNumber
  const second = await certificate('second')
  const before = await serial()
  const held = await open()
  await replaceBy(second.certFile, files.certFile)
  await eventually('the half pair is told', () => told[0] !== undefined)
  assert.match(String(told[0]), /LISTEN_FAILED|are no pair/)
  assert.match(
    keyPairWarnings(listener.pairs, Date.now())[0] ?? '',
    /the certificate from before serves on; .* are no pair/,
  )
  assert.equal(await serial(), before)
  await replaceBy(second.keyFile, files.keyFile)
  await eventually('the new one is in force', () => told.includes(undefined))
  assert.notEqual(await serial(), before)
  assert.deepEqual(keyPairWarnings(listener.pairs, Date.now()), [])
  held.write(`GET /v1/status HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`)
  assert.match(String(await once(held, 'data')), /^HTTP\/1\.1 401/)
})

test('the end of a certificate is told in the last fifth of its life, and when it has come', {
  skip,
}, async (context) => {
  const { listener } = await started(context)
  const { from, to } = listener.pairs.now()
  const lifeMs = to.getTime() - from.getTime()
  const saidAt = (share: number) => keyPairWarnings(listener.pairs, from.getTime() + lifeMs * share).join()
  assert.equal(saidAt(0.79), '')
  assert.match(saidAt(0.81), /^warning: the certificate of admin.tls.certFile ends at \d{4}-/)
  assert.match(saidAt(1.01), /ended at/)
})

test('a key that others may read, that is missing, or that is another’s is refused with words', {
  skip,
}, async (context) => {
  const { files, certificate, start } = await setting(context)
  await chmod(files.keyFile, 0o644)
  await assert.rejects(start(), { code: 'LISTEN_FAILED', detail: /keyFile .*is open to others, .*chmod 0600/ })
  await rm(files.keyFile)
  await assert.rejects(start(), { code: 'LISTEN_FAILED', detail: /keyFile .* cannot be read \(ENOENT\)/ })
  await copyFile((await certificate('other')).keyFile, files.keyFile)
  await assert.rejects(start(), { code: 'LISTEN_FAILED', detail: /are no pair/ })
})

test('a port that is taken is said to be, with the key of the configuration', { skip }, async (context) => {
  const { listener, desk } = await started(context)
  const listen = { host: '127.0.0.1', port: listener.port }
  await assert.rejects(listenTls(desk.app, { listen, pairs: listener.pairs }), {
    code: 'LISTEN_FAILED',
    detail: /admin\.tls\.listen 127\.0\.0\.1:\d+: another process listens there/,
  })
})

test('one address has so many connections, and no more', { skip }, async (context) => {
  const { open, statusOf, desk } = await started(context, { inAll: 100, perAddress: 3, answerTimeoutMs: 1_000 })
  const held = [await open(), await open(), await open()]
  await assert.rejects(open(), /ECONNRESET|disconnected/)
  held[0]?.destroy()
  const authorization = await desk.tokenFor(['read'])
  await eventually('there is room again', async () => (await statusOf({ authorization }).catch(() => 0)) === 200)
})

test('when all connections are taken the longest idle one makes room', { skip }, async (context) => {
  const { open, statusOf, desk } = await started(context, { inAll: 2, perAddress: 100, answerTimeoutMs: 1_000 })
  const [first, second] = [await open(), await open()]
  const closed = once(first, 'close')
  assert.equal(await statusOf({ authorization: await desk.tokenFor(['read']) }), 200)
  await closed
  assert.equal(second.destroyed, false)
})

test('a caller who does not take his answer is cut off', { skip }, async (context) => {
  const records = Array.from({ length: 400 }, (_, seq) => ({ seq, filling: 'x'.repeat(20_000) }))
  const { desk, open } = await started(context, { inAll: 10, perAddress: 10, answerTimeoutMs: 200 })
  desk.parts.audit = async () => records
  const socket = await open()
  socket.on('error', () => {})
  socket.pause()
  const authorization = await desk.tokenFor(['audit:read'])
  socket.write(`GET /v1/audit HTTP/1.1\r\nHost: ${NAME}\r\nAuthorization: ${authorization}\r\n\r\n`)
  await eventually('the answer was cut off', () => desk.lines.at(-1)?.path === '/v1/audit')
  assert.equal(desk.lines.at(-1)?.status, 0)
})

test('a head that does not end is not waited for', { skip }, async (context) => {
  const { open } = await started(context)
  const socket = await open()
  socket.write('GET /v1/status HTTP/1.1\r\nHost: ')
  const [bytes] = await once(socket, 'data')
  assert.match(String(bytes), /^HTTP\/1\.1 408/)
})
