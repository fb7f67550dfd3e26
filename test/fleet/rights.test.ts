import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { secretNameOf } from '../../src/fleet/names.ts'
import { fleetRights } from '../../src/fleet/rights.ts'
import { eventually } from '../helpers/eventually.ts'
import { runKubectl, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { createNode, KEY, SYSTEM } from './rig.ts'

const manifest = join(import.meta.dirname, '../../kubernetes/fleet.yaml')
const OTHER = 'secret.corp.example'

test('a node with the rights of kubernetes/fleet.yaml shares its credential, and its token reads no other', {
  skip: skipWithoutKubernetes(),
}, async (t) => {
  const api = await startKubeApiserver()
  t.after(() => api.close())
  await api.kubectl(['apply', '-f', manifest])
  const kubeconfigOf = async (account: string) => {
    const token = (await api.kubectl(['create', 'token', account, '-n', SYSTEM])).trim()
    return api.kubeconfig({ token })
  }
  const admin = createNode(t, { kubeconfig: await api.kubeconfig('admin'), node: 'admin', registries: [KEY, OTHER] })
  const leader = createNode(t, { kubeconfig: await kubeconfigOf('leader'), node: 'leader' })
  const stolen = await kubeconfigOf('node')
  const node = createNode(t, { kubeconfig: stolen, node: 'node', registries: [KEY, OTHER], mirrors: [] })
  leader.start()
  node.start()
  await eventually('one leads', () => leader.mayWrite())
  await leader.login('one')
  await admin.login('canary-4711', OTHER)
  await eventually('the node takes it over', async () => (await node.password()) === 'one', 60_000)
  await node.stage('two', 'r1')
  await node.commit('r1')
  await eventually('the node may rotate', async () => (await leader.password()) === 'two', 60_000)
  await eventually('both are seen', async () => (await node.nodes())?.length === 2)

  assert.equal(await node.password('current', OTHER), undefined)
  const denied = await eventually('it has asked for the other', async () => {
    const { credentials } = await node.report(AbortSignal.timeout(30_000))
    const state = credentials.find(({ key }) => key === OTHER)
    return state?.detail !== undefined && state
  })
  assert.equal(denied.standing, 'unknown')
  assert.match(denied.detail ?? '', /may not do this/)
  await assert.rejects(
    node.login('mine', OTHER),
    (thrown: RegcreddError) => thrown instanceof RegcreddError && thrown.code === 'FLEET_UNAVAILABLE',
  )

  const fleet = { namespace: SYSTEM, nodeLabels: {}, registries: undefined, leaseSeconds: 3, heartbeatSeconds: 1 }
  for (const { right } of fleetRights({ fleet, mirrors: [] }, 'node', [KEY, OTHER])) {
    const on = `${right.resource}${right.name === undefined ? '' : `/${right.name}`}`
    const asked = runKubectl([`--kubeconfig=${stolen}`, '-n', SYSTEM, 'auth', 'can-i', right.verb, on])
    const isAllowed = (await asked.catch(({ stdout }: { stdout: string }) => stdout)).trim() === 'yes'
    assert.equal(isAllowed, right.name !== secretNameOf(OTHER), `${right.verb} ${on}`)
  }

  const as = (...args: string[]) => runKubectl([`--kubeconfig=${stolen}`, '-n', SYSTEM, ...args])
  assert.match(await as('get', 'secret', secretNameOf(KEY)), /regcredd\.io\/credential/)
  await assert.rejects(as('get', 'secret', secretNameOf(OTHER)), /forbidden/)
  await assert.rejects(as('get', 'secrets'), /forbidden/)
  await assert.rejects(as('get', 'secrets', '-w', `--field-selector=metadata.name=${secretNameOf(OTHER)}`), /forbidden/)
  await assert.rejects(as('create', 'secret', 'generic', 'x'), /forbidden/)
  await assert.rejects(as('delete', 'secret', secretNameOf(KEY)), /forbidden/)
  await assert.rejects(as('create', 'token', 'leader'), /forbidden/)
  await assert.rejects(runKubectl([`--kubeconfig=${stolen}`, 'get', 'namespaces']), /forbidden/)
})
