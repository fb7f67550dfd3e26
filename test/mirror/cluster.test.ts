import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { type Cluster, openCluster } from '../../src/mirror/cluster.ts'
import { dockerConfigJson } from '../../src/mirror/docker-config-json.ts'
import type { Answer } from '../../src/mirror/fault.ts'
import type { Writing } from '../../src/mirror/plan.ts'
import { Secret } from '../../src/secret.ts'
import { type KubeApiserver, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'

const skip = skipWithoutKubernetes()
const never = new AbortController().signal
const name = (namespace: string) => ({ namespace, secretName: 'regcred' })

let api: KubeApiserver
let cluster: Cluster

before(async () => {
  if (skip !== false) return
  api = await startKubeApiserver()
  cluster = openCluster({ kubeconfig: await api.kubeconfig('admin'), timeoutMs: 10_000 })
})

after(async () => {
  await cluster?.close()
  await api?.close()
})

function writing(password: string): Writing {
  const login = { key: 'registry.corp.example', username: 'ci', secret: new Secret(password), email: undefined }
  return { content: dockerConfigJson([login], undefined), annotations: { 'regcredd.io/credentials': '{}' } }
}

function demand<T>(answer: Answer<T>): T {
  assert.ok(answer.ok, JSON.stringify(answer))
  return answer.value
}

function kindOf(answer: Answer<unknown>): string {
  return answer.ok ? 'ok' : answer.fault.kind
}

/** Makes the namespace and our Secret in it, and reads it. */
async function made(namespace: string) {
  await api.kubectl(['create', 'namespace', namespace])
  demand(await cluster.create(name(namespace), writing('one'), never))
  const found = demand(await cluster.read(name(namespace), never))
  assert.ok(found !== undefined)
  return found
}

test('creating never touches a Secret that somebody made in the meantime', { skip }, async () => {
  await api.kubectl(['create', 'namespace', 'overtaken'])
  await api.kubectl(['create', 'secret', 'generic', 'regcred', '-n', 'overtaken', '--from-literal=a=b'])
  const theirs = await api.kubectl(['get', 'secret', 'regcred', '-n', 'overtaken', '-o', 'json'])
  assert.equal(kindOf(await cluster.create(name('overtaken'), writing('one'), never)), 'conflict')
  assert.equal(await api.kubectl(['get', 'secret', 'regcred', '-n', 'overtaken', '-o', 'json']), theirs)
})

test('an update of a Secret that has changed since it was read is refused, although it is forced', {
  skip,
}, async () => {
  const found = await made('changed')
  await api.kubectl(['annotate', 'secret', 'regcred', '-n', 'changed', 'a=b'])
  assert.equal(kindOf(await cluster.update(name('changed'), writing('two'), found, never)), 'conflict')
})

test('an update of a Secret that was deleted makes no new one', { skip }, async () => {
  const found = await made('deleted')
  await api.kubectl(['delete', 'secret', 'regcred', '-n', 'deleted'])
  assert.equal(kindOf(await cluster.update(name('deleted'), writing('two'), found, never)), 'conflict')
  assert.equal(demand(await cluster.read(name('deleted'), never)), undefined)
})

test('an update of a Secret that was deleted and made anew is refused', { skip }, async () => {
  const found = await made('anew')
  await api.kubectl(['delete', 'secret', 'regcred', '-n', 'anew'])
  demand(await cluster.create(name('anew'), writing('theirs'), never))
  assert.equal(kindOf(await cluster.update(name('anew'), writing('two'), found, never)), 'conflict')
})

test('an update takes back what others wrote over our fields and leaves their own fields alone', { skip }, async () => {
  await made('shared')
  const patch = {
    metadata: { labels: { team: 'a' } },
    data: { '.dockerconfigjson': Buffer.from('{}').toString('base64') },
  }
  await api.kubectl(['patch', 'secret', 'regcred', '-n', 'shared', '-p', JSON.stringify(patch)])
  const found = demand(await cluster.read(name('shared'), never))
  assert.ok(found !== undefined)
  demand(await cluster.update(name('shared'), writing('two'), found, never))
  const updated = demand(await cluster.read(name('shared'), never))
  assert.equal(updated?.labels['team'], 'a')
  assert.ok(updated?.content?.equals(writing('two').content))
})

test('content that the API server finds fault with is never quoted', { skip }, async () => {
  await api.kubectl(['create', 'namespace', 'invalid'])
  const answer = await cluster.create(
    name('invalid'),
    { content: new Secret('canary-no-json'), annotations: { 'regcredd.io/credentials': '{}' } },
    never,
  )
  assert.ok(!answer.ok)
  assert.equal(answer.fault.detail, 'the Kubernetes API refused (HTTP 422, Invalid)')
})

test('the shipped RBAC lets the mirror create, read and update its Secret, and reach no other', { skip }, async () => {
  await api.kubectl(['create', 'namespace', 'team-a'])
  await api.kubectl(
    ['apply', '-f', '-'],
    await readFile(new URL('../../kubernetes/rbac.yaml', import.meta.url), 'utf8'),
  )
  const token = (await api.kubectl(['create', 'token', 'regcredd', '-n', 'regcredd'])).trim()
  await api.untilMayCreateSecrets('system:serviceaccount:regcredd:regcredd', 'team-a')
  const limited = openCluster({ kubeconfig: await api.kubeconfig({ token }), timeoutMs: 10_000 })
  try {
    demand(await limited.create(name('team-a'), writing('one'), never))
    const found = demand(await limited.read(name('team-a'), never))
    assert.ok(found !== undefined)
    demand(await limited.update(name('team-a'), writing('two'), found, never))
    const other = { namespace: 'team-a', secretName: 'other' }
    demand(await cluster.create(other, writing('theirs'), never))
    assert.equal(kindOf(await limited.read(other, never)), 'forbidden')
    assert.equal(kindOf(await limited.read(name('kube-system'), never)), 'forbidden')
    const asked = ['auth', 'can-i', '--as=system:serviceaccount:regcredd:regcredd', '-n', 'team-a']
    for (const verb of ['list', 'watch', 'delete', 'update']) {
      await assert.rejects(api.kubectl([...asked, verb, 'secrets/regcred']), /Command failed/, verb)
    }
  } finally {
    await limited.close()
  }
})
