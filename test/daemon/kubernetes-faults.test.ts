import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../helpers/daemon.ts'
import { skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { ask } from '../helpers/proxy.ts'
import { login, NAME, PASSWORD, startPair } from './pair.ts'

const skip = skipWithoutKubernetes()

test('while the API server is away pulls and rotations go on, the mirror says that it is stale, and it catches up by itself', {
  skip,
}, async (t) => {
  const api = await startKubeApiserver()
  t.after(() => api.close())
  await api.kubectl(['create', 'namespace', 'team-a'])
  const { daemon, registry, port, manifest, token } = await startPair(t, {
    login: 'no',
    config: {
      kubernetes: {
        kubeconfig: await api.kubeconfig('admin'),
        mirrors: [{ registries: [NAME], namespaces: ['team-a'] }],
      },
    },
  })
  const mirrored = async () => {
    const secret = await api.kubectl(['get', 'secret', 'regcred', '-n', 'team-a', '-o', 'json']).catch(() => undefined)
    if (secret === undefined) return undefined
    const { auths } = JSON.parse(Buffer.from(JSON.parse(secret).data['.dockerconfigjson'], 'base64').toString())
    return auths[NAME]?.password
  }
  assert.equal((await login(daemon)).code, 0)
  await eventually('the Secret is there', async () => (await mirrored()) === PASSWORD, 15_000)

  await api.stop()
  registry.setPassword('rotated')
  const rotated = await daemon.cli(['rotate', NAME, '--password-stdin', '--json'], { stdin: 'rotated' })
  assert.match(rotated.stdout, /"(COMMITTED|MIRRORED|GRACE)"/, rotated.stderr)
  assert.equal((await ask(port(), manifest, token())).status, 200)
  const told = await eventually(
    'the mirror is stale',
    async () => {
      const { body } = await daemon.rest('GET', '/v1/mirror')
      return body.stale === true && body
    },
    15_000,
  )
  assert.match(JSON.stringify(told), /team-a/)
  const ready = await fetch(`${daemon.health}/readyz`)
  assert.equal(ready.status, 200, 'pulls can be served in full')
  assert.match(await ready.text(), /warning: .* mirrored Secrets .*see regcredd mirror/)
  assert.match((await daemon.cli(['mirror'])).stdout, /team-a/)

  await api.start()
  await eventually('it catches up', async () => (await mirrored()) === 'rotated', 40_000)
  await eventually(
    'nothing is stale',
    async () => (await daemon.rest('GET', '/v1/mirror')).body.stale === false,
    10_000,
  )
})
