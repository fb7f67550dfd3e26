import assert from 'node:assert/strict'
import { chmod, copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { skipWithout } from '../helpers/tools.ts'
import { askTls, makeTlsPlace } from '../proxy/tls-kit.ts'
import { NAME, startPair } from './pair.ts'

const skip = skipWithout('openssl')

/** A daemon that asks for client certificates, with more of `proxy.tls`. */
async function startWithTls(t: TestContext, more: object = {}) {
  const place = await makeTlsPlace()
  t.after(() => place.remove())
  const pair = await startPair(t, { config: { proxy: { callers: 'mtls', tls: { ...place.paths, ...more } } } })
  return { place, ...pair }
}

test('a pull with a client certificate is served, and the audit names whom it was given to', { skip }, async (t) => {
  const { place, daemon, port, manifest, registry } = await startWithTls(t)
  const show = await place.clientCa.issue('node-1', { subject: '/O=corp/CN=node-1.corp.example' })
  assert.equal((await askTls(place, port(), manifest, { show })).status, 200)
  const begun = (await daemon.audit()).filter(({ type }) => type === 'pull.begin')
  assert.deepEqual(
    begun.map((record) => 'caller' in record && record.caller),
    ['mtls node-1.corp.example'],
  )
  registry.requests.length = 0
  const refused = await askTls(place, port(), manifest)
  assert.equal(refused.status, 403)
  assert.match(refused.body.toString(), /does not let the caller in: it needs a client certificate: none was shown/)
  assert.equal(registry.requests.length, 0)
  await eventually('it is logged', () => daemon.log().includes('CALLER_REFUSED'))
})

test('status says who may call and what clients do without the daemon, for each registry', { skip }, async (t) => {
  const { daemon } = await startWithTls(t)
  const { body } = await daemon.rest('GET', '/v1/status')
  assert.deepEqual(body.proxy, { listen: daemon.proxy, callers: 'mtls', tls: true })
  assert.deepEqual(body.failOver, [
    {
      registry: NAME,
      callers: 'mtls',
      fallback: 'never',
      says: 'only the daemon is asked: when it is down, refuses or fails, the pull fails',
    },
  ])
  const { stdout } = await daemon.cli(['status'])
  assert.match(stdout, /REGISTRY +CALLERS +FALLBACK +AS CLIENTS ARE SET UP\n/)
  assert.match(stdout, new RegExp(`${NAME} +mtls +never +only the daemon is asked`))
})

test('readyz tells of a list that ends soon, of files that cannot be used, and of both being mended', {
  skip,
}, async (t) => {
  const { place, daemon } = await startWithTls(t)
  const { clientCa, paths } = place
  const readyz = async () => (await fetch(`${daemon.health}/readyz`)).text()
  assert.equal(await readyz(), 'ready\n')
  await clientCa.writeCrl(paths.crlFile, { fromMs: -86_400_000, toMs: 600_000 })
  await eventually(
    'the end is told',
    async () => /warning: the list of revoked .* ends at /.test(await readyz()),
    30_000,
  )
  await writeFile(paths.crlFile, 'half of a')
  const broken = /^ready\n[\s\S]*warning: the files from before serve on; proxy\.tls\.crlFile \S+ holds no list/
  await eventually('the fault is told', async () => broken.test(await readyz()), 30_000)
  await clientCa.writeCrl(paths.crlFile)
  await eventually('all is well', async () => (await readyz()) === 'ready\n', 30_000)
})

test('a key that others may read keeps the daemon from starting, with the remedy and without the key', {
  skip,
}, async (t) => {
  const { place, daemon } = await startWithTls(t)
  await daemon.stop()
  await chmod(place.paths.keyFile, 0o644)
  const { code, stderr } = await daemon.cli(['serve'])
  assert.equal(code, 78)
  assert.match(stderr, /proxy\.tls\.keyFile .*is open to others.*chmod 0600/)
  assert.doesNotMatch(stderr, /PRIVATE KEY/)
  const config = join(daemon.folder, 'plain.json')
  await copyFile(daemon.configFile, config)
  const checked = await daemon.cli(['config', 'check', config])
  assert.equal(checked.code, 0, 'the key is the daemon’s to read')
})
