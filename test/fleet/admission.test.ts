import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { toCanonical } from '../../src/fleet/canonical.ts'
import { LEADER_LEASE, secretNameOf } from '../../src/fleet/names.ts'
import { eventually } from '../helpers/eventually.ts'
import { runKubectl, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { sample } from '../keychain/sample.ts'
import { createNode, KEY, SYSTEM } from './rig.ts'

const folder = join(import.meta.dirname, '../../kubernetes')

test('with the shipped policies a node logs in and rotates, and writes nothing else', {
  skip: skipWithoutKubernetes(),
}, async (t) => {
  const api = await startKubeApiserver()
  t.after(() => api.close())
  for (const file of ['fleet.yaml', 'fleet-admission.yaml', 'rbac-cluster.yaml', 'admission-policy.yaml']) {
    await api.kubectl(['apply', '-f', join(folder, file)])
  }
  await api.kubectl([
    ...['create', 'clusterrolebinding', 'regcredd-leader', '--clusterrole=regcredd-mirror'],
    `--serviceaccount=${SYSTEM}:leader`,
  ])
  await api.kubectl(['create', 'namespace', 'team-a'])
  const token = (await api.kubectl(['create', 'token', 'leader', '-n', SYSTEM])).trim()
  const kubeconfig = await api.kubeconfig({ token })
  const create = (object: object, by = kubeconfig) =>
    runKubectl([`--kubeconfig=${by}`, 'create', '-f', '-'], JSON.stringify(object)).then(
      () => '',
      ({ stderr }: { stderr: string }) => stderr,
    )
  const opaque = (namespace: string, name: string, type = 'Opaque') => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type,
  })
  await eventually(
    'the policies are in force',
    async () => /regcredd-fleet/.test(await create(opaque(SYSTEM, `x-${Date.now()}`))),
    60_000,
  )
  await eventually(
    'and that of tenants',
    async () => /no Secret of this name/.test(await create(opaque('team-a', `x-${Date.now()}`))),
    60_000,
  )

  const node = createNode(t, { kubeconfig, node: 'a' })
  await node.login('one')
  await node.stage('two', 'r1')
  await node.commit('r1')
  assert.equal(await node.password(), 'two')

  const tokenOf = {
    ...opaque(SYSTEM, 'regcredd-token', 'kubernetes.io/service-account-token'),
    metadata: {
      name: 'regcredd-token',
      namespace: SYSTEM,
      annotations: { 'kubernetes.io/service-account.name': 'node' },
    },
  }
  assert.match(await create(tokenOf), /canonical Secrets only/)
  const canonical = toCanonical('b.example', { credential: sample('b.example') }, SYSTEM)
  assert.match(await create({ ...canonical, metadata: { ...canonical.metadata, name: 'other' } }), /such a name/)
  assert.match(await create({ ...canonical, data: { ...canonical.data, more: '' } }), /no other data/)
  const orphan = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: '11111111-1111-1111-1111-111111111111' }
  const owned = { ...canonical, metadata: { ...canonical.metadata, ownerReferences: [orphan] } }
  assert.match(await create(owned), /adds no owners/)
  assert.match(await create({ ...canonical, immutable: true }), /no Secret immutable/)
  const moved = { metadata: { annotations: { 'regcredd.io/registry': 'b.example' } } }
  const patched = await api
    .kubectl([
      'patch',
      'secret',
      secretNameOf(KEY),
      '-n',
      SYSTEM,
      '--type=merge',
      '-p',
      JSON.stringify(moved),
      `--as=system:serviceaccount:${SYSTEM}:leader`,
      `--as-group=system:serviceaccounts:${SYSTEM}`,
    ])
    .then(
      () => '',
      ({ stderr }: { stderr: string }) => stderr,
    )
  assert.match(patched, /forbidden|stays with its registry/)

  const nodeToken = (await api.kubectl(['create', 'token', 'node', '-n', SYSTEM])).trim()
  const nodeConfig = await api.kubeconfig({ token: nodeToken })
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: LEADER_LEASE, namespace: SYSTEM },
  }
  await eventually(
    'a node that may not lead cannot take the Lease of the leader',
    async () => /none of those that may lead/.test(await create(lease, nodeConfig)),
    60_000,
  )
  assert.match(await create(lease), /^$|already exists/)
})
