import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http, { type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { craftLayers, digestOf } from '../helpers/crafted-image.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { startDockerRegistry } from '../helpers/docker-registry.ts'
import { eventually } from '../helpers/eventually.ts'
import { startFakeRegistry } from '../helpers/fake-registry.ts'
import { startJwtServer } from '../helpers/jwt-server.ts'
import { memoryBytes } from '../helpers/process-memory.ts'
import { ask, type Got } from '../helpers/proxy.ts'
import { pushCrafted } from '../helpers/push-crafted.ts'
import { settled } from '../helpers/settled.ts'
import { skipWithout } from '../helpers/tools.ts'
import { hangOn, openFilesLimit, startCounter, startFirehose } from './load-kit.ts'

const NAME = 'registry.corp.example'
const HALF_A_HEAD = 'GET /v2/team/app/manifests/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: '

/** A real daemon; anybody may pull. */
async function start(t: TestContext, registry: object, proxy: object = {}): Promise<Daemon> {
  const daemon = await startDaemon({
    registries: [{ host: NAME, ...registry }],
    config: { proxy: { callers: 'open', ...proxy } },
  })
  t.after(() => daemon.close())
  return daemon
}

const get = (daemon: Daemon, path: string): Promise<Got> => ask(daemon.port(), `${path}?ns=${NAME}`)

async function connectionsOf({ health }: Daemon): Promise<number> {
  const metrics = await (await fetch(`${health}/metrics`)).text()
  return Number(/^regcredd_proxy_connections (\d+)$/m.exec(metrics)?.[1])
}

for (const [framing, way] of [
  ['length', 'the fast lane'],
  ['chunks', 'http-proxy'],
] as const) {
  test(`a caller that stops reading stalls the registry and not the daemon’s memory, by ${way}; all bytes come when it reads on`, async (t) => {
    const sizeBytes = 256 * 1024 * 1024
    const firehose = await startFirehose(t, { sizeBytes, framing })
    const daemon = await start(t, { upstream: firehose.origin })
    const before = await memoryBytes(daemon.pid, 'VmRSS')
    const path = `/v2/team/app/blobs/sha256:${'a'.repeat(64)}?ns=${NAME}`
    const request = http.get({ host: '127.0.0.1', port: daemon.port(), path, agent: false })
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject)
    })
    assert.equal(answer.statusCode, 200)
    const stalledAt = await settled('what the registry has sent', firehose.sentBytes)
    // What lies in the kernel's buffers of four sockets; the rest of 256 MB must still be with the registry.
    assert.ok(stalledAt < sizeBytes / 4, `${stalledAt} bytes were taken`)
    const grown = (await memoryBytes(daemon.pid, 'VmRSS')) - before
    assert.ok(grown < 64 * 2 ** 20, `${grown} bytes more`)
    let got = 0
    for await (const piece of answer) got += piece.length
    assert.equal(got, sizeBytes)
  })
}

test('ten thousand connections that never send a whole head keep no pull from being served, and are held to the limit', async (t) => {
  const registry = await startFakeRegistry({ auth: 'none' })
  t.after(() => registry.close())
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const maxConnections = 500
  const daemon = await start(t, { upstream: registry.origin.origin }, { maxConnections, headersTimeoutMs: 5_000 })
  const count = Math.min(10_000, (await openFilesLimit()) - 2_000)
  t.diagnostic(`${count} connections`)
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  let most = 0
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(500, count - sockets.length) }, () => hangOn(daemon.port(), HALF_A_HEAD))
    const pulls = Array.from({ length: 5 }, () => get(daemon, '/v2/team/app/manifests/1'))
    sockets.push(...(await Promise.all(some)))
    for (const { status } of await Promise.all(pulls)) assert.equal(status, 200)
    most = Math.max(most, await connectionsOf(daemon))
  }
  assert.ok(most > 100 && most <= maxConnections, `${most} at the most`)
  await eventually('those that are left are closed in time', async () => (await connectionsOf(daemon)) <= 1, 30_000)
})

test('the limits of the configuration hold: heads that are too long or too slow, connections that are too many', async (t) => {
  const registry = await startFakeRegistry({ auth: 'none' })
  t.after(() => registry.close())
  let release = () => {}
  registry.script = async () => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    return false
  }
  const daemon = await start(t, { upstream: registry.origin.origin }, { maxConnections: 1, headersTimeoutMs: 300 })
  const headers = { 'x-padding': 'x'.repeat(70_000) }
  assert.equal((await ask(daemon.port(), '/v2/', { headers })).status, 431)
  const slow = await hangOn(daemon.port(), HALF_A_HEAD)
  let said = ''
  slow.on('data', (piece) => (said += piece))
  await eventually('a slow head is ended', () => slow.destroyed, 10_000)
  assert.match(said, /^HTTP\/1\.1 408 /)
  const atWork = get(daemon, '/v2/team/app/manifests/1')
  await eventually('the first is at work', () => registry.requests.length === 1)
  await assert.rejects(get(daemon, '/v2/team/app/manifests/1'), { code: 'ECONNRESET' })
  release()
  assert.equal((await atWork).status, 404)
})

test('fifty pulls of one image at once, all cold, are one token request and no more connections than configured', {
  skip: skipWithout('docker-registry', 'openssl'),
}, async (t) => {
  const login = { username: 'ci', password: 'the password' }
  const tokens = await startJwtServer({ login, algorithm: 'ES256' })
  t.after(() => tokens.close())
  const registry = await startDockerRegistry({ tokens })
  t.after(() => registry.stop())
  const ca = registry.ca?.cert ?? ''
  const authorization = (repository: string) => `Bearer ${tokens.mint(repository, ['pull', 'push'])}`
  const image = craftLayers('1', 3)
  await pushCrafted({ origin: registry.origin, ca, authorization }, 'team/app', image)
  const toRegistry = await startCounter(t, registry.port)
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-load-'))
  t.after(() => rm(folder, { recursive: true }))
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, `${ca}\n${tokens.ca.cert}`)
  const maxConnections = 8
  const daemon = await start(t, {
    upstream: `https://127.0.0.1:${toRegistry.port}`,
    caFile,
    realms: [tokens.origin.origin],
    allowAddresses: ['127.0.0.0/8'],
    limits: { maxConnections },
  })
  await logIn(daemon, NAME, login, '--no-verify')
  tokens.requests.length = 0
  const digests = image.blobs.map(digestOf)
  const pull = async () => {
    const manifest = await ask(daemon.port(), `/v2/team/app/manifests/1?ns=${NAME}`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    })
    const blobs = await Promise.all(digests.map((digest) => get(daemon, `/v2/team/app/blobs/${digest}`)))
    return [manifest, ...blobs].map(({ body }) => digestOf(body))
  }
  const pulled = await Promise.all(Array.from({ length: 50 }, pull))
  for (const one of pulled) assert.deepEqual(one, [image.digest, ...digests])
  assert.equal(tokens.requests.length, 1)
  assert.ok(toRegistry.connections() <= maxConnections, `${toRegistry.connections()} connections`)
})
