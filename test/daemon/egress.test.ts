import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { canaryOf } from '../helpers/canary.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { startDockerRegistry } from '../helpers/docker-registry.ts'
import { startEgressProxy } from '../helpers/egress-proxy.ts'
import { eventually } from '../helpers/eventually.ts'
import { pushImage } from '../helpers/image.ts'
import { findLeaks, type Place, placesInFolder } from '../helpers/leak-search.ts'
import { skopeoInspect } from '../helpers/skopeo.ts'
import { skipWithout } from '../helpers/tools.ts'

const HOST = 'registry.invalid'
const PASSWORD = 'egress canary 7c1f'
const login = { username: 'ci', password: 'the password of the registry' }
const skip = skipWithout('docker-registry', 'htpasswd', 'openssl', 'skopeo', 'umoci')

/** A real registry that only the egress proxy can name; the daemon finds the proxy as `how` says. */
async function start(
  t: TestContext,
  how: (url: URL) => { env?: NodeJS.ProcessEnv; config?: (folder: string) => Record<string, unknown> },
) {
  const registry = await startDockerRegistry({ login, names: [HOST] })
  const image = await pushImage(registry, { repository: 'team/app', tag: '1', login })
  const egressProxy = await startEgressProxy({ login: `egress:${PASSWORD}` })
  egressProxy.places.set(`${HOST}:443`, registry.port)
  const folder = join(registry.ca?.certFile ?? '', '..')
  await writeFile(join(folder, 'login'), `egress:${PASSWORD}\n`, { mode: 0o600 })
  const { env = {}, config } = how(egressProxy.url)
  const daemon = await startDaemon({
    registries: [{ host: HOST, caFile: registry.ca?.certFile, credential: 'required' }],
    env,
    config: config?.(folder) ?? {},
  })
  t.after(async () => {
    await daemon.close()
    await egressProxy.close()
    await registry.stop()
  })
  return { registry, image, egressProxy, daemon }
}

/** Logs in, which verifies, and pulls with a real client; both by way of the proxy. */
async function logInAndPull(daemon: Daemon): Promise<string> {
  await logIn(daemon, HOST, login)
  const { Digest } = await skopeoInspect(`${daemon.proxy}/${HOST}/team/app:1`, {
    login: { username: 'node', password: daemon.callerToken },
  })
  return Digest
}

/** What status tells of the way out. */
async function wayOut(daemon: Daemon): Promise<unknown> {
  return (await daemon.rest('GET', '/v1/status')).body.egress
}

async function assertNoLeak(daemon: Daemon): Promise<void> {
  const metrics = await (await fetch(`${daemon.health}/metrics`)).text()
  const status = await daemon.cli(['status', '--json'])
  const places: Place[] = [
    { kind: 'daemon log', name: 'log', content: daemon.log() },
    { kind: 'metrics', name: 'metrics', content: metrics },
    { kind: 'CLI output', name: 'status', content: status.stdout + status.stderr },
    ...placesInFolder('folder', daemon.folder),
  ]
  assert.deepEqual(findLeaks(places, [canaryOf('the proxy’s password', PASSWORD)]), [])
}

test('a daemon under HTTPS_PROXY with a login verifies and pulls through it, and the login is shown nowhere', {
  skip,
}, async (t) => {
  const { daemon, image, egressProxy } = await start(t, ({ host }) => ({
    env: {
      HTTPS_PROXY: `http://egress:${encodeURIComponent(PASSWORD)}@${host}`,
      NO_PROXY: '10.0.0.0/8,.svc, http://x',
    },
  }))
  assert.equal(await logInAndPull(daemon), image.manifestDigest)
  assert.ok(egressProxy.asked.every(({ target }) => target === `${HOST}:443`) && egressProxy.asked.length > 0)
  assert.match(daemon.log(), new RegExp(`"proxy":"${egressProxy.host}".*"from":"environment".*"egress"`))
  assert.match(daemon.log(), /"unread":1.*NO_PROXY/)
  assert.partialDeepStrictEqual(await wayOut(daemon), { from: 'environment', login: true, registries: [HOST] })

  egressProxy.script = (socket) => {
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    return true
  }
  egressProxy.cut()
  const refused = await skopeoInspect(`${daemon.proxy}/${HOST}/team/app:1`, {
    login: { username: 'node', password: daemon.callerToken },
  }).catch((error: Error) => error)
  assert.ok(refused instanceof Error)
  const words = new RegExp(`EGRESS_PROXY_FAILED.*${egressProxy.host}: it answered 407, it refuses the login`)
  await eventually('the log tells', () => words.test(daemon.log()))
  await eventually('the audit tells', async () =>
    (await daemon.audit()).some((line) => line.type === 'pull.end' && line.code === 'EGRESS_PROXY_FAILED'),
  )
  await assertNoLeak(daemon)
})

test('egress in the configuration wins over the environment, its login comes from a file', { skip }, async (t) => {
  const { daemon, image, egressProxy } = await start(t, (url) => ({
    env: { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' },
    config: (folder) => ({ egress: { proxy: url.origin, credentialsFile: join(folder, 'login') } }),
  }))
  assert.equal(await logInAndPull(daemon), image.manifestDigest)
  const proxies = [egressProxy.url.origin]
  assert.deepEqual(await wayOut(daemon), { proxies, from: 'config', login: true, registries: [HOST] })
  await assertNoLeak(daemon)
})

test('a proxy in the environment that is none keeps the daemon from starting, with words that do not show it', {
  skip,
}, async () => {
  await assert.rejects(
    startDaemon({ registries: [{ host: HOST }], env: { https_proxy: 'socks5://egress:planted@127.0.0.1:1080' } }),
    ({ message }: Error) =>
      /CONFIG_INVALID/.test(message) && /HTTPS_PROXY/.test(message) && !/planted|socks/.test(message),
  )
})
