import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { type DockerRegistry, type Login, startDockerRegistry } from './docker-registry.ts'
import { getStatus } from './get-status.ts'
import { skipWithout } from './tools.ts'

const skip = skipWithout('docker-registry', 'htpasswd', 'openssl')
const login: Login = { username: 'ci', password: 'first password' }

async function withRegistry(use: (registry: DockerRegistry) => Promise<void>): Promise<void> {
  const registry = await startDockerRegistry({ login, names: ['registry.corp.example'] })
  await use(registry).finally(registry.stop)
}

test('the registry answers 401 to nobody and to a wrong password, and 200 to the right one', { skip }, () =>
  withRegistry(async (registry) => {
    assert.equal(await getStatus(registry), 401)
    assert.equal(await getStatus(registry, { ...login, password: 'wrong' }), 401)
    assert.equal(await getStatus(registry, login), 200)
  }),
)

test('a changed password is in force at once, and the old one is refused', { skip }, () =>
  withRegistry(async (registry) => {
    let old = login
    for (let round = 1; round <= 5; round++) {
      const fresh = { ...login, password: `password ${round}` }
      await registry.setPassword(fresh.password)
      assert.equal(await getStatus(registry, fresh), 200)
      assert.equal(await getStatus(registry, old), 401)
      old = fresh
    }
  }),
)

test('requests that run while the password file is written never meet half of it', { skip }, () =>
  withRegistry(async (registry) => {
    let changing = true
    const statuses = new Set<number>()
    const requests = (async () => {
      while (changing) statuses.add(await getStatus(registry, login))
    })()
    for (let round = 0; round < 30; round++) await registry.setPassword(login.password)
    changing = false
    await requests
    assert.deepEqual([...statuses], [200])
  }),
)

test('a client that was not told of the CA refuses the certificate, and the name on it counts', { skip }, () =>
  withRegistry(async (registry) => {
    await assert.rejects(getStatus({ ...registry, ca: undefined }, login), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
    await assert.rejects(getStatus(registry, login, 'other.corp.example'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    assert.equal(await getStatus(registry, login, 'registry.corp.example'), 200)
  }),
)

test('a registry without login and TLS lets everybody in, and stop leaves no file', { skip }, async () => {
  const registry = await startDockerRegistry({ tls: 'plain' })
  assert.equal(await getStatus(registry), 200)
  await registry.stop()
  await assert.rejects(getStatus(registry), { code: 'ECONNREFUSED' })

  const secured = await startDockerRegistry({ login })
  const dir = dirname(secured.ca?.certFile ?? '')
  assert.ok(existsSync(dir))
  await secured.stop()
  assert.ok(!existsSync(dir))
})
