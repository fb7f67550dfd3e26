import assert from 'node:assert/strict'
import { copyFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { Secret } from '../../src/secret.ts'
import { makeClientCa } from '../helpers/client-tls.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import type { Certificate } from '../helpers/tls.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'
import { makeTlsPlace, type TlsPlace } from '../proxy/tls-kit.ts'
import { criPuller, ctrPuller } from './containerd-pullers.ts'
import { buildahPuller, podmanPuller, skopeoPuller } from './containers-pullers.ts'
import { addEmptyImage } from './fail-over-kit.ts'
import type { Node, Puller, PullerKind } from './puller.ts'

const HOST = 'mtls.corp.example:5000'
const REF = `${HOST}/team/app:1`
const kinds: PullerKind[] = [
  criPuller('containerd 1.6 by CRI', 'containerd'),
  ctrPuller('containerd 1.6 by ctr', 'containerd', 'ctr'),
  criPuller('containerd 1.7 by CRI', 'containerd-1'),
  ctrPuller('containerd 1.7 by ctr', 'containerd-1', 'ctr-1'),
  criPuller('containerd 2.4 by CRI', 'containerd-2'),
  ctrPuller('containerd 2.4 by ctr, transfer service', 'containerd-2', 'ctr-2'),
  ctrPuller('containerd 2.4 by ctr --local', 'containerd-2', 'ctr-2', ['--local']),
  skopeoPuller,
  podmanPuller,
  buildahPuller,
]
/** Those that show the words of the daemon, and not the status alone. */
const speaking = [/2\.4/, /skopeo/, /podman/, /buildah/]

let place: TlsPlace
let registry: FakeRegistry
let daemon: Daemon
let node: Node
/** Where every client looks for its certificate. */
let shown: string
let digest: string
const bad = new Map<string, Certificate>()
let good: Certificate

before(async () => {
  if (skipWithout('openssl')) return
  place = await makeTlsPlace()
  const { clientCa, folder, paths } = place
  good = await clientCa.issue('node-1')
  const strangers = join(folder, 'strangers')
  await mkdir(strangers)
  bad.set('another authority’s', await (await makeClientCa(strangers)).issue('node-1'))
  bad.set('an expired one', await clientCa.issue('expired', { fromMs: -120_000, toMs: -60_000 }))
  bad.set('a revoked one', await clientCa.issue('revoked'))
  bad.set('one for servers', await clientCa.issue('server', { extensions: ['extendedKeyUsage = serverAuth'] }))
  await clientCa.revoke(bad.get('a revoked one') ?? assert.fail())
  await clientCa.writeCrl(paths.crlFile)
  registry = await startFakeRegistry({ auth: 'basic', password: 'right' })
  digest = addEmptyImage(registry)
  daemon = await startDaemon({
    registries: [{ host: HOST, upstream: registry.origin.origin, credential: 'required' }],
    config: { proxy: { callers: 'mtls', tls: paths } },
  })
  await logIn(daemon, HOST, { password: 'right' }, '--no-verify')
  shown = join(folder, 'shown')
  await mkdir(shown)
  await copyFile(place.serverCa.certFile, join(shown, 'ca.crt'))
  node = { setting: await loadConfig(daemon.configFile), token: new Secret(''), certificates: shown }
})

after(async () => {
  await daemon?.close()
  await registry?.close()
  await place?.remove()
})

async function show(certificate: Certificate | undefined): Promise<void> {
  const files = { cert: join(shown, 'client.cert'), key: join(shown, 'client.key') }
  await rm(files.cert, { force: true })
  await rm(files.key, { force: true })
  if (certificate === undefined) return
  await copyFile(certificate.certFile, files.cert)
  await copyFile(certificate.keyFile, files.key)
}

for (const { name, tools, user, start } of kinds) {
  const lacking = user === 'root' ? skipWithoutRootAnd(...tools) : skipWithout(...tools)
  describe(`${name} with client certificates`, { skip: skipWithout('openssl') || lacking }, () => {
    let puller: Puller
    before(async () => {
      puller = await start(node)
    })
    after(() => puller?.close())

    async function mustBeRefused(what: string, refused: Puller): Promise<void> {
      registry.requests.length = 0
      await assert.rejects(refused.pull(REF), (error: Error) => {
        assert.match(error.message, /403|forbidden|denied|does not let the caller in/i, what)
        if (speaking.some((one) => one.test(name))) assert.match(error.message, /it needs a client certificate/, what)
        return true
      })
      assert.deepEqual(
        registry.requests.map(({ url }) => url),
        [],
        what,
      )
    }

    test('pulls with a good one, and is named in the audit', async () => {
      await show(good)
      const had = await puller.pull(REF)
      assert.ok(had.includes(digest), `${digest} is not among ${had}`)
      const callers = (await daemon.audit()).flatMap((record) => (record.type === 'pull.begin' ? [record.caller] : []))
      assert.equal(callers.at(-1), 'mtls node-1')
    })

    test('is refused with one that is not good, and nothing is sent to the registry', async () => {
      for (const [what, certificate] of bad) {
        await show(certificate)
        await mustBeRefused(what, puller)
      }
      assert.equal(bad.size, 4)
    })

    test('is refused without one, and nothing is sent to the registry', async () => {
      await show(undefined)
      const { registries, proxy } = node.setting
      const bare = await start({ ...node, setting: { registries, proxy: { ...proxy, callers: 'open' } } })
      try {
        await mustBeRefused('none', bare)
      } finally {
        await bare.close()
      }
    })
  })
}
