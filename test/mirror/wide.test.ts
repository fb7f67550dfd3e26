import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { RegcreddError } from '../../src/errors.ts'
import { refuse } from './fake-kube-api.ts'
import { type Cluster, createCountedTime, createMovableTime, REGISTRY, rigOn, TEAMS } from './kit.ts'
import { createRig, type Mirrors, until } from './rig.ts'

const MINUTE_MS = 60_000

/** The namespaces with a label. */
const LABELLED: Mirrors = [
  { registries: [REGISTRY], namespaceSelector: { matchLabels: { pull: 'yes' }, matchExpressions: [] } },
]

function passwordIn(cluster: Cluster, namespace: string, name = 'regcred'): string | undefined {
  const data = cluster.get('secrets', namespace, name)?.data?.['.dockerconfigjson']
  if (data === undefined) return undefined
  return JSON.parse(Buffer.from(data, 'base64').toString()).auths[REGISTRY]?.password
}

const pullSecrets = (cluster: Cluster, namespace: string, account = 'default') =>
  cluster.get('serviceaccounts', namespace, account)?.imagePullSecrets?.map(({ name }) => name)

/** A Secret whose namespace has lost the label, and which is therefore deleted when the test lets a minute pass. `uid`: what it had while it was wanted. */
async function orphaned(t: TestContext) {
  const { time, passMs } = createMovableTime()
  const { cluster, rig } = await rigOn(t, { mirrors: LABELLED, time, kubernetes: { orphansAfterMs: MINUTE_MS } })
  cluster.setNamespace('a', { pull: 'yes' })
  rig.start()
  await until(() => passwordIn(cluster, 'a') === 'one')
  const uid = cluster.get('secrets', 'a', 'regcred')?.metadata.uid
  cluster.setNamespace('a', {})
  await until(() => rig.results()[0]?.outcome === 'orphan')
  return { cluster, rig, uid, passMs }
}

test('namespaces are found by pattern, those of the exceptions and of Kubernetes are left out', async (t) => {
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a', 'team-b', 'team-x', 'other'] })
  rig.start()
  await until(() => !rig.stale())
  assert.deepEqual(
    rig.results().map(({ namespace, outcome }) => [namespace, outcome]),
    [
      ['team-a', 'created'],
      ['team-b', 'created'],
    ],
  )
  assert.equal(cluster.get('secrets', 'team-x', 'regcred'), undefined)
  assert.equal(cluster.get('secrets', 'other', 'regcred'), undefined)
})

test('a new namespace gets its Secret within a second', async (t) => {
  const { time, begin, sleptMs } = createCountedTime()
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'], time })
  rig.start()
  await until(() => !rig.stale())
  begin()
  cluster.setNamespace('team-new')
  await until(() => passwordIn(cluster, 'team-new') === 'one')
  assert.ok(sleptMs() < 1_000)
})

test('a namespace that gets the label gets the Secret, and one that loses it loses it after the time for orphans', async (t) => {
  const { time, passMs } = createMovableTime()
  const { cluster, rig } = await rigOn(t, { mirrors: LABELLED, time, kubernetes: { orphansAfterMs: MINUTE_MS } })
  cluster.setNamespace('a', { pull: 'no' })
  rig.start()
  await until(() => !rig.stale())
  assert.equal(cluster.get('secrets', 'a', 'regcred'), undefined)
  cluster.setNamespace('a', { pull: 'yes' })
  await until(() => passwordIn(cluster, 'a') === 'one')
  cluster.setNamespace('a', { pull: 'no' })
  await until(() => rig.results()[0]?.outcome === 'orphan')
  assert.match(rig.results()[0]?.detail ?? '', /no mirror wants it any more; it is deleted after 20/)
  assert.equal(passwordIn(cluster, 'a'), 'one')
  passMs(MINUTE_MS)
  await until(() => cluster.get('secrets', 'a', 'regcred') === undefined)
  await until(() => rig.changes.at(-1)?.outcome === 'removed')
  assert.ok(!rig.stale())
})

test('an orphan that is wanted again in time is kept', async (t) => {
  const { cluster, rig, uid } = await orphaned(t)
  cluster.setNamespace('a', { pull: 'yes' })
  await until(() => rig.results()[0]?.outcome === 'unchanged')
  assert.equal(cluster.get('secrets', 'a', 'regcred')?.metadata.uid, uid)
  assert.equal(cluster.writes().filter(({ method }) => method === 'DELETE').length, 0)
})

test('before an orphan is deleted its namespace is read again, and a label that came back keeps it', async (t) => {
  const { cluster, rig, passMs } = await orphaned(t)
  cluster.setMute(true)
  cluster.setNamespace('a', { pull: 'yes' })
  passMs(MINUTE_MS)
  await until(() => rig.changes.at(-1)?.detail === 'it is wanted again')
  assert.equal(passwordIn(cluster, 'a'), 'one')
  assert.equal(cluster.writes().filter(({ method }) => method === 'DELETE').length, 0)
})

test('an orphan that somebody took over while the watch was silent is left to him', async (t) => {
  const { cluster, rig, passMs } = await orphaned(t)
  cluster.setMute(true)
  const ours = cluster.get('secrets', 'a', 'regcred')
  assert.ok(ours !== undefined)
  const annotations = { ...ours.metadata.annotations, 'regcredd.io/owner': 'node-2@elsewhere' }
  cluster.store('secrets', { ...ours, metadata: { ...ours.metadata, annotations } })
  passMs(MINUTE_MS)
  await until(() => rig.changes.at(-1)?.detail === 'not ours any more, and left as it is')
  assert.equal(passwordIn(cluster, 'a'), 'one')
})

for (const [what, annotations] of [
  ['of another owner', { 'regcredd.io/credentials': '{}', 'regcredd.io/owner': 'node-2@uid-2' }],
  ['of the same name in another cluster', { 'regcredd.io/credentials': '{}', 'regcredd.io/owner': 'node-1@uid-far' }],
  ['that names no owner', { 'regcredd.io/credentials': '{}' }],
  ['that names no cluster', { 'regcredd.io/credentials': '{}', 'regcredd.io/owner': 'node-1' }],
  ['without our signs', {}],
] as const) {
  test(`a Secret ${what} is never cleaned up as an orphan`, async (t) => {
    const { cluster, rig } = await rigOn(t, { namespaces: ['team-a', 'elsewhere'] })
    const labels = { 'app.kubernetes.io/managed-by': 'regcredd' }
    const metadata = { name: 'regcred', namespace: 'elsewhere', labels, annotations }
    const theirs = cluster.store('secrets', { metadata, type: 'kubernetes.io/dockerconfigjson' })
    rig.start()
    await until(() => !rig.stale())
    await setTimeout(150)
    assert.deepEqual(cluster.get('secrets', 'elsewhere', 'regcred'), theirs)
    assert.deepEqual(
      [...rig.results(), ...rig.changes].map(({ namespace }) => namespace),
      ['team-a', 'team-a'],
    )
  })
}

test('a list of namespaces that lacks kube-system is not believed: nothing is deleted, and the mirror is stale', async (t) => {
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'], silenceMs: 200 })
  rig.start()
  await until(() => !rig.stale())
  cluster.setFault(({ path, query }, answer) => {
    if (path !== '/api/v1/namespaces' || query.has('watch')) return false
    answer.writeHead(200, { 'content-type': 'application/json' })
    answer.end(JSON.stringify({ metadata: { resourceVersion: '9' }, items: [] }))
    return true
  })
  await until(() => rig.watches()[0]?.fault?.detail.includes('cannot be true') === true)
  await until(() => rig.stale())
  assert.equal(passwordIn(cluster, 'team-a'), 'one')
  assert.deepEqual(
    rig.results().map(({ outcome }) => outcome),
    ['created'],
  )
})

test('an empty list of Secrets overwrites nothing: what it lacks is created, and is found to be there', async (t) => {
  const namespaces = Array.from({ length: 12 }, (_, n) => `team-${n}`)
  const { cluster, rig } = await rigOn(t, { namespaces })
  rig.start()
  await until(() => !rig.stale())
  const before = namespaces.map((name) => cluster.get('secrets', name, 'regcred')?.metadata.resourceVersion)
  cluster.setFault(({ path, query }, answer) => {
    if (path !== '/api/v1/secrets' || query.has('watch')) return false
    answer.writeHead(200, { 'content-type': 'application/json' })
    answer.end(JSON.stringify({ metadata: { resourceVersion: '9' }, items: null }))
    return true
  })
  const results = await rig.run()
  assert.ok(results.every(({ outcome }) => outcome === 'unchanged'))
  assert.deepEqual(
    namespaces.map((name) => cluster.get('secrets', name, 'regcred')?.metadata.resourceVersion),
    before,
  )
})

test('a second look with nothing to do writes nothing and reads by lists', async (t) => {
  const namespaces = Array.from({ length: 250 }, (_, n) => `team-${n}`)
  const { cluster, rig } = await rigOn(t, {
    namespaces,
    mirrors: [{ registries: [REGISTRY], namespaces: ['team-*'], serviceAccounts: ['default'] }],
  })
  rig.start()
  await until(() => !rig.stale())
  assert.equal(cluster.writes().length, 500)
  const before = cluster.calls.length
  const results = await rig.run()
  assert.ok(results.every(({ outcome }) => outcome === 'unchanged'))
  assert.equal(cluster.writes().length, 500)
  assert.equal(cluster.calls.length - before, 6)
})

test('drift is repaired within a second, counted and told', async (t) => {
  const { time, begin, sleptMs } = createCountedTime()
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'], time })
  rig.start()
  await until(() => !rig.stale())
  const ours = cluster.get('secrets', 'team-a', 'regcred')
  assert.ok(ours !== undefined)
  const poison = Buffer.from('{"auths":{}}').toString('base64')
  begin()
  cluster.store('secrets', { ...ours, data: { '.dockerconfigjson': poison } })
  await until(() => passwordIn(cluster, 'team-a') === 'one')
  assert.ok(sleptMs() < 1_000)
  await until(() => rig.drifts.length === 1)
  cluster.remove('secrets', 'team-a', 'regcred')
  await until(() => passwordIn(cluster, 'team-a') === 'one')
})

test('whoever goes on changing a Secret is answered more and more slowly', async (t) => {
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'] })
  rig.start()
  await until(() => !rig.stale())
  const aborter = new AbortController()
  t.after(() => aborter.abort())
  const fight = (async () => {
    while (!aborter.signal.aborted) {
      const ours = cluster.get('secrets', 'team-a', 'regcred')
      if (ours !== undefined && passwordIn(cluster, 'team-a') === 'one') cluster.store('secrets', { ...ours, data: {} })
      await setTimeout(5)
    }
  })()
  await until(() => rig.drifts.length >= 3)
  await setTimeout(1_500)
  aborter.abort()
  await fight
  assert.ok(rig.drifts.length >= 3 && rig.drifts.length <= 6, `${rig.drifts.length} repairs`)
})

test('the ServiceAccount of a new namespace is made before anybody else can make it, and others are waited for', async (t) => {
  const { cluster, rig } = await rigOn(t, {
    mirrors: [{ registries: [REGISTRY], namespaces: ['team-*'], serviceAccounts: ['default', 'builder'] }],
  })
  rig.start()
  await until(() => rig.watches().length === 4 && !rig.stale())
  cluster.setNamespace('team-a')
  await until(() => pullSecrets(cluster, 'team-a') !== undefined)
  assert.deepEqual(pullSecrets(cluster, 'team-a'), ['regcred'])
  await until(() => rig.results().length === 1)
  assert.deepEqual(
    rig.results()[0]?.serviceAccounts?.map(({ name, outcome }) => [name, outcome]),
    [
      ['builder', 'absent'],
      ['default', 'added'],
    ],
  )
  cluster.store('serviceaccounts', {
    metadata: { name: 'builder', namespace: 'team-a' },
    imagePullSecrets: [{ name: 'theirs' }],
  })
  await until(() => pullSecrets(cluster, 'team-a', 'builder')?.length === 2)
  assert.deepEqual(pullSecrets(cluster, 'team-a', 'builder'), ['theirs', 'regcred'])
})

test('with the Secret its name goes from the ServiceAccounts, but only where we had added it', async (t) => {
  const mirrors: Mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'], serviceAccounts: ['default', 'theirs'] }]
  const { cluster, rig } = await rigOn(t, { mirrors, namespaces: ['team-a'] })
  cluster.store('serviceaccounts', {
    metadata: { name: 'default', namespace: 'team-a' },
    imagePullSecrets: [{ name: 'other' }],
  })
  cluster.store('serviceaccounts', {
    metadata: { name: 'theirs', namespace: 'team-a' },
    imagePullSecrets: [{ name: 'regcred' }],
  })
  rig.start()
  await until(() => !rig.stale())
  assert.deepEqual(pullSecrets(cluster, 'team-a'), ['other', 'regcred'])
  await rig.close()
  const next = createRig({ kubeconfig: cluster.kubeconfig, mirrors: [{ registries: [REGISTRY], namespaces: ['x-*'] }] })
  t.after(() => next.close())
  next.start()
  await until(() => cluster.get('secrets', 'team-a', 'regcred') === undefined)
  assert.deepEqual(pullSecrets(cluster, 'team-a'), ['other'])
  assert.deepEqual(pullSecrets(cluster, 'team-a', 'theirs'), ['regcred'])
  assert.equal(
    cluster.get('serviceaccounts', 'team-a', 'default')?.metadata.annotations?.['regcredd.io/image-pull-secrets'],
    undefined,
  )
})

test('a ServiceAccount that is not configured any more loses the name, the Secret stays', async (t) => {
  const mirrors: Mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'], serviceAccounts: ['default'] }]
  const { cluster, rig } = await rigOn(t, { mirrors, namespaces: ['team-a'] })
  rig.start()
  await until(() => !rig.stale())
  await rig.close()
  const next = createRig({ kubeconfig: cluster.kubeconfig, mirrors: TEAMS })
  t.after(() => next.close())
  next.store(REGISTRY, 'one')
  next.start()
  await until(() => !next.stale())
  assert.deepEqual(pullSecrets(cluster, 'team-a'), [])
  assert.equal(passwordIn(cluster, 'team-a'), 'one')
})

test('what was mirrored under a former name is cleaned up', async (t) => {
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'] })
  rig.start()
  await until(() => !rig.stale())
  await rig.close()
  const next = createRig({
    kubeconfig: cluster.kubeconfig,
    mirrors: [{ registries: [REGISTRY], namespaces: ['team-*'], secretName: 'pull' }],
    kubernetes: { formerSecretNames: ['regcred'] },
  })
  t.after(() => next.close())
  next.store(REGISTRY, 'one')
  next.start()
  await until(() => passwordIn(cluster, 'team-a', 'pull') === 'one')
  await until(() => cluster.get('secrets', 'team-a', 'regcred') === undefined)
})

test('a dry run names the namespaces and ServiceAccounts that a credential goes to', async (t) => {
  const mirrors: Mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'], serviceAccounts: ['default'] }]
  const { cluster, rig } = await rigOn(t, { mirrors, namespaces: ['team-a', 'team-b'] })
  rig.start()
  await until(() => !rig.stale())
  const writes = cluster.writes().length
  assert.deepEqual(
    rig.plan(REGISTRY).map(({ namespace, secretName, serviceAccounts }) => [namespace, secretName, serviceAccounts]),
    [
      ['team-a', 'regcred', ['default']],
      ['team-b', 'regcred', ['default']],
    ],
  )
  assert.deepEqual(rig.plan('other.example'), [])
  assert.equal(cluster.writes().length, writes)
})

test('a rotation before the namespaces are known waits for them, and fails in words when they do not come', async (t) => {
  // So long the refusal has time to come, and so long the rotation waits.
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'], callTimeoutMs: 2_000 })
  cluster.setFault((_call, answer) => {
    refuse(answer, 403, { reason: 'Forbidden' })
    return true
  })
  const [result] = await rig.run()
  assert.deepEqual([result?.namespace, result?.outcome], ['*', 'failed'])
  assert.match(result?.detail ?? '', /the namespaces are not known: .*HTTP 403/)
  cluster.setFault(undefined)
  await until(async () => (await rig.run())[0]?.namespace === 'team-a')
})

test('a node that is not the one that writes writes nothing', async (t) => {
  let leads = false
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'], mayWrite: () => leads })
  rig.start()
  await until(() => rig.results().length === 1)
  assert.match(rig.results()[0]?.detail ?? '', /another node is the one that writes/)
  assert.equal(cluster.writes().length, 0)
  leads = true
  await until(() => passwordIn(cluster, 'team-a') === 'one')
})

test('an unreadable keychain overwrites no Secret and removes none', async (t) => {
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a'] })
  rig.start()
  await until(() => !rig.stale())
  const good = cluster.get('secrets', 'team-a', 'regcred')
  rig.breakKeychain(new RegcreddError('KEYCHAIN_LOCKED'))
  assert.equal((await rig.run())[0]?.outcome, 'failed')
  assert.deepEqual(cluster.get('secrets', 'team-a', 'regcred'), good)
})
