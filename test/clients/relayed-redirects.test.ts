import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import type { Setting } from '../../src/install/client-plan.ts'
import { Secret } from '../../src/secret.ts'
import { canaryOf } from '../helpers/canary.ts'
import { craftSingle } from '../helpers/crafted-image.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { digestOf, type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { findLeaks, placesInFolder } from '../helpers/leak-search.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'
import { criPuller } from './containerd-pullers.ts'
import { podmanPuller, skopeoPuller } from './containers-pullers.ts'
import type { Node, PullerKind } from './puller.ts'

const HOST = 'registry.corp.example'
const SIGNATURE = 'signature canary 9f3c'
const containerds: PullerKind[] = [
  criPuller('containerd 1.6', 'containerd'),
  criPuller('containerd 1.7', 'containerd-1'),
  criPuller('containerd 2.4', 'containerd-2'),
]

const image = craftSingle('relayed')
const content = new Map(image.blobs.map((blob) => [digestOf(blob), blob]))
let registry: FakeRegistry
let daemon: Daemon
let setting: Setting
/** What came to the store, which lies on another address than the daemon. */
let arrived: IncomingHttpHeaders[] = []
const store = createServer((request, response) => {
  arrived.push(request.headers)
  const blob = content.get(new URL(request.url ?? '', 'http://store').pathname.slice(1))
  response.writeHead(blob === undefined ? 404 : 200, { 'content-length': blob?.length ?? 0 }).end(blob)
})

before(async () => {
  await new Promise<void>((resolve) => store.listen(0, '127.0.0.2', resolve))
  const { port } = store.address() as AddressInfo
  registry = await startFakeRegistry({ auth: 'basic', password: 'the password' })
  const manifest = image.manifests[0] ?? assert.fail()
  registry.addManifest('team/app', '1', JSON.parse(manifest.content.toString()), manifest.mediaType)
  registry.script = (request, response) => {
    const digest = /\/blobs\/([^?]+)/.exec(request.url ?? '')?.[1]
    if (digest === undefined || request.headers.authorization === undefined) return false
    const location = `http://127.0.0.2:${port}/${digest}?X-Amz-Signature=${encodeURIComponent(SIGNATURE)}`
    response.writeHead(307, { location, 'content-length': 0 }).end()
    return true
  }
  const entry = { host: HOST, upstream: registry.origin.origin, redirects: 'relay', allowAddresses: ['127.0.0.2/32'] }
  daemon = await startDaemon({ registries: [entry] })
  await logIn(daemon, HOST, { password: 'the password' })
  setting = await loadConfig(daemon.configFile)
})

after(async () => {
  await daemon?.close()
  await registry?.close()
  store.closeAllConnections()
  store.close()
})

/** Pulls, and gives what the audit says of the blobs: whether the client was sent on, and how many bytes. */
async function pullWith(kind: PullerKind, shown: Setting): Promise<string[]> {
  arrived = []
  const seen = (await daemon.audit()).length
  const node: Node = { setting: shown, token: new Secret(daemon.callerToken) }
  const puller = await kind.start(node)
  try {
    const digests = await puller.pull(`${HOST}/team/app:1`)
    assert.ok(digests.includes(image.digest), `${digests}`)
  } finally {
    await puller.close()
  }
  const blobs = async () =>
    (await daemon.audit())
      .slice(seen)
      .flatMap((record) => (record.type === 'pull.end' && record.kind === 'blob' ? record : []))
  // The end of a pull is written when the client has had it.
  await eventually('all blobs are in the audit', async () => (await blobs()).length >= content.size)
  return (await blobs()).map((record) => {
    const size = content.get(record.reference)?.length
    if (record.redirected) return record.redirectedBytes === size && record.bytes === 0 ? 'sent on' : 'sent on, wrong'
    return record.bytes === size ? 'fetched' : 'fetched, wrong'
  })
}

function assertNothingArrived(): void {
  assert.equal(arrived.length, content.size)
  const secrets = [daemon.callerToken, Buffer.from(`node:${daemon.callerToken}`).toString('base64')]
  for (const headers of arrived) {
    assert.deepEqual(
      [headers.authorization, headers['regcredd-token'], headers.cookie],
      [undefined, undefined, undefined],
    )
    assert.ok(secrets.every((secret) => !JSON.stringify(headers).includes(secret)))
  }
}

describe('a blob in the registry’s store', { concurrency: 1 }, () => {
  for (const kind of [...containerds, skopeoPuller, podmanPuller]) {
    const skip = kind.user === 'root' ? skipWithoutRootAnd(...kind.tools) : skipWithout(...kind.tools)
    test(`is fetched there by ${kind.name} itself, which shows the store nothing that it shows us`, {
      skip,
    }, async () => {
      const blobs = await pullWith(kind, setting)
      assert.deepEqual([new Set(blobs), blobs.length], [new Set(['sent on']), content.size])
      assertNothingArrived()
    })
  }

  for (const kind of containerds) {
    test(`is fetched by the daemon where ${kind.name} shows our own header, which it would take along`, {
      skip: skipWithoutRootAnd(...kind.tools),
    }, async () => {
      // The files of a node whose redirects are not relayed.
      const registries = setting.registries.map((one) => ({ ...one, redirects: 'follow' as const }))
      const blobs = await pullWith(kind, { ...setting, registries })
      assert.deepEqual([new Set(blobs), blobs.length], [new Set(['fetched']), content.size])
      assertNothingArrived()
    })
  }

  test('has a signed URL that stands in no log, audit, metric or file', async () => {
    const metrics = await (await fetch(`${daemon.health}/metrics`)).text()
    const places = [
      { kind: 'daemon log', name: 'log', content: daemon.log() },
      { kind: 'metrics', name: 'metrics', content: metrics },
      ...placesInFolder('folder', daemon.folder),
    ]
    assert.deepEqual(findLeaks(places, [canaryOf('the signature', SIGNATURE)]), [])
    assert.match(daemon.log(), /"redirected":true/)
  })
})
