import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '../helpers/eventually.ts'
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
  await eventually('the Secret is there', async () => (await mirrored()) === PASSWORD, 40_000)

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
    40_000,
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
    40_000,
  )
})

test('with the shipped rights a whole cluster is mirrored; drift is repaired and told by log, metric and audit; the check names what is missing', {
  skip,
}, async (t) => {
  const api = await startKubeApiserver()
  t.after(() => api.close())
  for (const file of ['rbac-cluster.yaml', 'admission-policy.yaml']) {
    await api.kubectl(['apply', '-f', fileURLToPath(new URL(`../../kubernetes/${file}`, import.meta.url))])
  }
  for (const name of ['team-a', 'team-b']) await api.kubectl(['create', 'namespace', name])
  const token = (await api.kubectl(['create', 'token', 'regcredd', '-n', 'regcredd'])).trim()
  const { daemon } = await startPair(t, {
    login: 'no',
    config: {
      kubernetes: {
        kubeconfig: await api.kubeconfig({ token }),
        mirrors: [{ registries: [NAME], namespaces: ['team-*'], serviceAccounts: ['default'] }],
      },
    },
  })
  assert.equal((await login(daemon)).code, 0)
  const holds = async (namespace: string) => {
    const args = ['get', 'secret', 'regcred', '-n', namespace, '-o', 'jsonpath={.data}']
    const data = await api.kubectl(args).catch(() => '{}')
    const content = Buffer.from(JSON.parse(data)['.dockerconfigjson'] ?? '', 'base64').toString()
    return content.includes(`"password":"${PASSWORD}"`)
  }
  await eventually('both have it', async () => (await holds('team-a')) && (await holds('team-b')), 40_000)
  await api.kubectl(['create', 'namespace', 'team-c'])
  await eventually('so has the new one', () => holds('team-c'), 40_000)

  const checked = await daemon.cli(['kubernetes', 'check'])
  assert.deepEqual([checked.code, checked.stdout.split('\n')[0]], [0, 'all 14 rights are there'], checked.stderr)

  const poison = JSON.stringify({ data: { '.dockerconfigjson': Buffer.from('{"auths":{}}').toString('base64') } })
  await api.kubectl(['patch', 'secret', 'regcred', '-n', 'team-b', '-p', poison])
  await eventually('it is repaired', () => holds('team-b'), 40_000)
  await eventually('it is told', async () => {
    const records = await daemon.audit()
    return records.some((one) => one.type === 'mirror.drift' && one.detail['namespace'] === 'team-b')
  })
  await eventually('the log tells', () => daemon.log().includes('somebody had changed what the mirror wrote'))
  const metrics = await (await fetch(`${daemon.health}/metrics`)).text()
  assert.match(metrics, /^regcredd_mirror_drift_total 1$/m)
  assert.match(metrics, /^regcredd_mirror_watch_heard_timestamp_seconds\{kind="secrets",name="regcred"\} 1\.?\d/m)

  await api.kubectl(['delete', 'clusterrolebinding', 'regcredd-mirror'])
  await eventually('the check fails', async () => (await daemon.cli(['kubernetes', 'check'])).code === 1, 40_000)
  const { stdout } = await daemon.cli(['kubernetes', 'check', '--json'])
  const { complete, rights } = JSON.parse(stdout)
  assert.equal(complete, false)
  const missing = rights
    .filter(({ verb, resource }: Record<string, string>) => verb === 'patch' && resource === 'secrets')
    .filter(({ allowed }: { allowed: boolean }) => !allowed)
    .map(({ namespace }: { namespace: string }) => namespace)
  for (const name of ['team-a', 'team-b', 'team-c']) assert.ok(missing.includes(name), name)
})

test('without a cluster in the configuration the check says so', async (t) => {
  const { daemon } = await startPair(t, { login: 'no' })
  const { code, stderr } = await daemon.cli(['kubernetes', 'check'])
  assert.equal(code, 1)
  assert.match(stderr, /no Kubernetes cluster is configured/)
})
