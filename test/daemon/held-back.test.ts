import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/proxy.ts'

const NAME = 'registry.corp.example'

describe('what is held back shows, in one daemon', () => {
  let registry: FakeRegistry
  let daemon: Daemon
  before(async () => {
    registry = await startFakeRegistry({ auth: 'basic', password: 'first-password' })
    for (const tag of ['1', '2', '3']) registry.addManifest('team/app', tag, { schemaVersion: 2 })
    daemon = await startDaemon({ registries: [{ host: NAME, upstream: registry.origin.origin }] })
    await logIn(daemon, NAME, { password: 'first-password' })
  })
  after(async () => {
    await daemon.close()
    await registry.close()
  })
  const pull = async () => {
    const headers = { 'regcredd-token': daemon.callerToken }
    return (await ask(daemon.port(), `/v2/team/app/manifests/1?ns=${NAME}`, { headers })).status
  }
  const page = async (path: string) => (await fetch(`${daemon.health}${path}`)).text()
  const status = async () => JSON.parse((await daemon.cli(['status', '--json'])).stdout)

  test('a password that the registry no longer takes is a warning with version and time, and a metric, until a login', async () => {
    assert.equal(await pull(), 200)
    assert.equal(await page('/readyz'), 'ready\n')
    registry.setPassword('second-password')
    assert.deepEqual([await pull(), await pull()], [403, 403])
    const asked = registry.requests.length
    assert.equal(await pull(), 403)
    assert.equal(registry.requests.length, asked)
    assert.match(
      await page('/readyz'),
      /^ready\nwarning: registry\.corp\.example refuses version v1 of its credential since \S+Z; it is not tried again before \S+Z, unless it is replaced\n$/,
    )
    assert.match(await page('/metrics'), new RegExp(`regcredd_credential_versions_held\\{registry="${NAME}"\\} 1`))
    const [held] = (await status()).heldLogins
    assert.deepEqual([held.registry, held.version], [NAME, 'v1'])
    await logIn(daemon, NAME, { password: 'second-password' })
    assert.equal(await pull(), 200)
    assert.equal(await page('/readyz'), 'ready\n')
    assert.doesNotMatch(await page('/metrics'), /regcredd_credential_versions_held\{/)
  })

  test('a limit of the registry is a warning and a metric, and what it says is left are gauges', async () => {
    registry.script = (_request, response) => {
      const limits = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600', 'retry-after': '60' }
      response.writeHead(429, { ...limits, 'content-length': 0 }).end()
      return true
    }
    const asked = registry.requests.length
    assert.deepEqual([await pull(), await pull()], [429, 429])
    assert.equal(registry.requests.length, asked + 1)
    assert.match(
      await page('/readyz'),
      /^ready\nwarning: registry\.corp\.example is not asked for manifests before \S+Z: it answered 429\n$/,
    )
    const metrics = await page('/metrics')
    assert.match(metrics, new RegExp(`regcredd_registry_limited\\{registry="${NAME}",part="manifests"\\} 1`))
    assert.match(metrics, new RegExp(`regcredd_registry_ratelimit_limit\\{registry="${NAME}"\\} 100`))
    assert.match(metrics, new RegExp(`regcredd_registry_ratelimit_remaining\\{registry="${NAME}"\\} 0`))
    assert.equal((await status()).metLimits[0].part, 'manifests')
  })
})
