import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { nodeLeaseNameOf, secretNameOf } from '../../src/fleet/names.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import { eventually } from '../helpers/eventually.ts'
import { type KubeApiserver, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { createCountedTime } from '../mirror/kit.ts'
import { createNode, KEY, SYSTEM } from './rig.ts'

const signal = new AbortController().signal
const NAME = secretNameOf(KEY)

describe('a fleet on a real API server', { skip: skipWithoutKubernetes() }, () => {
  let api: KubeApiserver
  let kubeconfig: string

  before(async () => {
    api = await startKubeApiserver()
    kubeconfig = await api.kubeconfig('admin')
  })
  after(() => api?.close())

  /** A namespace of its own for each test. */
  let count = 0
  async function system(): Promise<{ fleet: { namespace: string }; namespace: string }> {
    count += 1
    const namespace = `${SYSTEM}-${count}`
    await api.kubectl(['create', 'namespace', namespace])
    return { fleet: { namespace }, namespace }
  }

  const secretOf = async (namespace: string) =>
    JSON.parse(await api.kubectl(['get', 'secret', NAME, '-n', namespace, '-o', 'json']))

  it('says so where two daemons have one name, and takes one that was started anew for no twin', async (t) => {
    const { fleet, namespace } = await system()
    const told = /another daemon is a in this fleet, too/
    const specOf = async () =>
      JSON.parse(await api.kubectl(['get', 'lease', nodeLeaseNameOf('a'), '-n', namespace, '-o', 'json'])).spec
    const earlier = createNode(t, { kubeconfig, node: 'a', fleet })
    const faultOf = async (node: typeof earlier) => (await node.report(AbortSignal.timeout(10_000))).fault
    earlier.start()
    await eventually('it is there', async () => (await earlier.nodes())?.length === 1, 10_000)
    await earlier.close()
    const one = createNode(t, { kubeconfig, node: 'a', fleet })
    one.start()
    const first = await eventually('it has written', async () => {
      const spec = await specOf()
      return spec.leaseTransitions === 1 ? spec.renewTime : undefined
    })
    await eventually('it has written again', async () => (await specOf()).renewTime !== first, 10_000)
    assert.doesNotMatch([await faultOf(one), ...one.warnings()].join(), told)
    const other = createNode(t, { kubeconfig, node: 'a', fleet })
    other.start()
    await eventually(
      'both say so',
      async () => told.test(`${await faultOf(one)}`) && told.test(`${await faultOf(other)}`),
      20_000,
    )
    await eventually('and warn of it', () => told.test(one.warnings().join()))
    await other.close()
    await eventually('the one that is left says so no more', async () => !told.test(`${await faultOf(one)}`), 20_000)
  })

  it('brings a login and both steps of a rotation to every node within a second', async (t) => {
    const { fleet } = await system()
    const { time, begin, sleptMs } = createCountedTime()
    const nodes = ['a', 'b', 'c'].map((node) => createNode(t, { kubeconfig, node, fleet, time }))
    const [a, b, c] = nodes
    assert.ok(a && b && c)
    for (const node of nodes) node.start()
    await eventually('they watch', async () => (await c.state())?.standing === 'absent')
    await a.login('one')
    await eventually('the others hold it', async () => (await b.password()) === 'one' && (await c.password()) === 'one')
    begin()
    await b.stage('two', 'r1')
    await eventually('PENDING is everywhere', async () => (await a.password('pending')) === 'two')
    assert.ok(sleptMs() < 5_000)
    await b.commit('r1')
    await eventually(
      'CURRENT is everywhere',
      async () => (await a.password()) === 'two' && (await c.password()) === 'two',
    )
    assert.equal(await c.password('previous'), 'one')
  })

  it('lets one of two nodes rotate that do so at once', async (t) => {
    const { fleet } = await system()
    const [a, b] = ['a', 'b'].map((node) => createNode(t, { kubeconfig, node, fleet }))
    assert.ok(a && b)
    await a.login('one')
    const outcomes = await Promise.allSettled([a.stage('by-a', 'ra'), b.stage('by-b', 'rb')])
    const lost = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
    assert.ok(lost.reason instanceof RegcreddError && lost.reason.code === 'ROTATION_ACTIVE', String(lost.reason))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  it('lets a node that was off catch up, whatever happened meanwhile, also a logout', async (t) => {
    const { fleet } = await system()
    const a = createNode(t, { kubeconfig, node: 'a', fleet })
    const keychain = createMemoryKeychain()
    const b = createNode(t, { kubeconfig, node: 'b', fleet, keychain })
    a.start()
    b.start()
    await a.login('one')
    await eventually('it holds the first', async () => (await b.password()) === 'one')
    await b.close()
    for (const [index, password] of ['two', 'three', 'four'].entries()) {
      await a.stage(password, `r${index}`)
      await a.commit(`r${index}`)
    }
    const again = createNode(t, { kubeconfig, node: 'b', fleet, keychain })
    again.start()
    await eventually('it holds the last', async () => (await again.password()) === 'four')
    await again.close()
    await a.update(KEY, () => undefined)
    const third = createNode(t, { kubeconfig, node: 'b', fleet, keychain })
    third.start()
    await eventually('it holds nothing', async () => (await third.password()) === undefined)
  })

  it('refuses a Secret that was tampered with, keeps what it holds, and takes up again what is whole', async (t) => {
    const { fleet, namespace } = await system()
    const a = createNode(t, { kubeconfig, node: 'a', fleet })
    a.start()
    await a.login('one')
    const patch = (data: string) =>
      api.kubectl([
        'patch',
        'secret',
        NAME,
        '-n',
        namespace,
        '--type=merge',
        '-p',
        JSON.stringify({ data: { credential: data } }),
      ])
    const whole = (await secretOf(namespace)).data.credential
    await patch(Buffer.from('{"schema":1}').toString('base64'))
    const garbled = await eventually('it is reported', async () => {
      const state = await a.state()
      return state?.standing === 'garbled' && state
    })
    assert.match(garbled.detail ?? '', /no credential/)
    assert.equal(await a.password(), 'one')
    await assert.rejects(a.login('two'), (thrown: RegcreddError) => thrown.code === 'FLEET_CONFLICT')
    assert.equal((await secretOf(namespace)).data.credential, Buffer.from('{"schema":1}').toString('base64'))
    await patch(whole)
    await eventually('it is in step', async () => (await a.state())?.standing === 'synced')
    await api.kubectl(['delete', 'secret', NAME, '-n', namespace])
    await eventually('it is put back', () => secretOf(namespace).catch(() => undefined))
    assert.equal(await a.password(), 'one')
  })

  it('puts a newer credential back over an older one that somebody restored', async (t) => {
    const { fleet, namespace } = await system()
    const a = createNode(t, { kubeconfig, node: 'a', fleet })
    const b = createNode(t, { kubeconfig, node: 'b', fleet })
    a.start()
    b.start()
    await a.login('one')
    const old = (await secretOf(namespace)).data
    await a.login('two')
    await eventually('both hold it', async () => (await b.password()) === 'two')
    await api.kubectl(['patch', 'secret', NAME, '-n', namespace, '--type=merge', '-p', JSON.stringify({ data: old })])
    await eventually('it is put back', async () => (await secretOf(namespace)).data.credential !== old.credential)
    assert.deepEqual([await a.password(), await b.password()], ['two', 'two'])
  })

  it('says of each node what it holds and whether it is there, by the clock of the server', async (t) => {
    const { fleet } = await system()
    const a = createNode(t, { kubeconfig, node: 'a', fleet, skewMs: -3_600_000 })
    // So that it is not gone already for who is late to look.
    const slow = { ...fleet, heartbeatSeconds: 3 }
    const b = createNode(t, { kubeconfig, node: 'b', fleet: slow, skewMs: 3_600_000 })
    a.start()
    b.start()
    await a.login('one')
    const seen = await eventually('both hold seq 1', async () => {
      const nodes = await a.nodes()
      return nodes?.length === 2 && nodes.every(({ adopted, isLive }) => adopted.get(KEY) === 1 && isLive) && nodes
    })
    assert.deepEqual(
      seen.map(({ node, isLive }) => [node, isLive]),
      [
        ['a', true],
        ['b', true],
      ],
    )
    assert.equal(await a.allAdopted(KEY, 1, signal), true)
    assert.equal(await a.allAdopted(KEY, 2, signal), false)
    await b.close()
    await a.login('two')
    assert.equal(await a.isLive('b', signal), true)
    assert.equal(await a.allAdopted(KEY, 2, signal), false)
    await eventually('it counts as gone', async () => !(await a.isLive('b', signal)), 60_000)
    await eventually('the others are enough', () => a.allAdopted(KEY, 2, signal))
    assert.equal(await a.isLive('never-seen', signal), false)
  })

  it('has one node lead, and another when the first leaves', async (t) => {
    const { fleet: own } = await system()
    // Long enough to lead on where a renewal is late by some seconds.
    const fleet = { ...own, leaseSeconds: 8 }
    const a = createNode(t, { kubeconfig, node: 'a', fleet, skewMs: 3_600_000 })
    a.start()
    await eventually('it leads', () => a.mayWrite())
    const b = createNode(t, { kubeconfig, node: 'b', fleet, skewMs: -3_600_000 })
    b.start()
    await eventually('the other knows', async () => (await b.report(signal)).leader === 'a')
    assert.equal(b.mayWrite(), false)
    await a.close()
    await eventually('the other leads', () => b.mayWrite(), 60_000)
  })

  it('holds on a node only what its labels meet', async (t) => {
    const { fleet } = await system()
    const registries = [
      { host: KEY, nodeSelector: { matchLabels: { pool: 'build' }, matchExpressions: [] } },
      { host: 'shared.example', nodeSelector: undefined },
    ]
    const made = (node: string, nodeLabels: Record<string, string>) =>
      createNode(t, {
        kubeconfig,
        node,
        registries: [KEY, 'shared.example', 'own.example'],
        fleet: { ...fleet, registries, nodeLabels },
      })
    const build = made('build', { pool: 'build' })
    const other = made('other', { pool: 'web' })
    build.start()
    other.start()
    await build.login('one')
    await build.login('for-all', 'shared.example')
    await build.login('mine', 'own.example')
    await eventually(
      'it holds what is for all',
      async () => (await other.password('current', 'shared.example')) === 'for-all',
    )
    assert.equal(await other.password(), undefined)
    assert.equal(await other.password('current', 'own.example'), undefined)
    await assert.rejects(other.login('two'), (thrown: RegcreddError) => thrown.code === 'FLEET_NOT_SHARED')
    await eventually('all have it that are to', () => build.allAdopted(KEY, 1, signal))
  })

  it('keeps the fleets of two clusters apart, whatever their names', async (t) => {
    const { fleet, namespace } = await system()
    const second = await startKubeApiserver()
    t.after(() => second.close())
    await second.kubectl(['create', 'namespace', namespace])
    const a = createNode(t, { kubeconfig, node: 'a', fleet })
    const b = createNode(t, { kubeconfig: await second.kubeconfig('admin'), node: 'a', fleet })
    a.start()
    b.start()
    await a.login('one')
    await b.login('another')
    await eventually('both lead', () => a.mayWrite() && b.mayWrite())
    assert.deepEqual([await a.password(), await b.password()], ['one', 'another'])
  })

  it('refuses changes while the API server is away, keeps what it holds, and catches up after it', async (t) => {
    const own = await startKubeApiserver()
    t.after(() => own.close())
    await own.kubectl(['create', 'namespace', SYSTEM])
    const path = await own.kubeconfig('admin')
    const a = createNode(t, { kubeconfig: path, node: 'a' })
    const b = createNode(t, { kubeconfig: path, node: 'b' })
    a.start()
    b.start()
    await a.login('one')
    await eventually('it is everywhere', async () => (await b.password()) === 'one')
    await own.stop()
    await assert.rejects(a.stage('two', 'r1'), (thrown: RegcreddError) => thrown.code === 'FLEET_UNAVAILABLE')
    assert.deepEqual([await a.password(), await a.password('pending')], ['one', undefined])
    assert.equal(await a.allAdopted(KEY, 1, signal), false)
    assert.equal(await a.isLive('b', signal), true, 'a node that cannot be asked for is not taken for gone')
    await eventually('nobody may write', () => !a.mayWrite() && !b.mayWrite(), 30_000)
    await own.start()
    await eventually(
      'it can be changed again',
      async () => (await a.stage('two', 'r1').catch(() => undefined)) !== undefined,
      60_000,
    )
    await eventually('the other takes it over', async () => (await b.password('pending')) === 'two', 60_000)
  })
})
