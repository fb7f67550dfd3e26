import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { type KubeApiserver, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { createCountedTime } from './kit.ts'
import { createRig, type Mirrors, type Rig, until } from './rig.ts'

const skip = skipWithoutKubernetes()
const REGISTRY = 'registry.corp.example'
const USER = 'system:serviceaccount:regcredd:regcredd'
const TEAMS: Mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'], serviceAccounts: ['default'] }]
const DATA = Buffer.from('{"auths":{}}').toString('base64')
/** Of an object that does not exist: Kubernetes deletes what has it. */
const OWNER_REFERENCE = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: 'gone',
  uid: '11111111-1111-1111-1111-111111111111',
}
const SIGNS = {
  labels: { 'app.kubernetes.io/managed-by': 'regcredd' },
  annotations: { 'regcredd.io/owner': 'node-1', 'regcredd.io/credentials': '{}' },
}

let api: KubeApiserver
let kubeconfig: string
const rigs: Rig[] = []

before(async () => {
  if (skip !== false) return
  api = await startKubeApiserver()
  for (const file of ['rbac-cluster.yaml', 'rbac-follower.yaml', 'admission-policy.yaml']) {
    await api.kubectl(
      ['apply', '-f', '-'],
      await readFile(new URL(`../../kubernetes/${file}`, import.meta.url), 'utf8'),
    )
  }
  kubeconfig = await kubeconfigOf('regcredd')
  for (const name of ['team-a', 'team-b', 'team-c']) await api.kubectl(['create', 'namespace', name])
  await until(async () => /no Secret of this name/.test((await refusal(secret('team-a', { name: 'probe' }))) ?? ''))
})

after(async () => {
  for (const rig of rigs) await rig.close()
  await api?.close()
})

async function kubeconfigOf(account: string): Promise<string> {
  const token = (await api.kubectl(['create', 'token', account, '-n', 'regcredd'])).trim()
  return api.kubeconfig({ token })
}

function rigFor(options: Partial<Parameters<typeof createRig>[0]> = {}): Rig {
  const rig = createRig({ kubeconfig, mirrors: TEAMS, ...options })
  rig.store(REGISTRY, 'one')
  rigs.push(rig)
  return rig
}

type Parts = { name?: string; type?: string; data?: object; metadata?: object }

function secret(namespace: string, { name = 'regcred', type, data, metadata }: Parts = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, ...SIGNS, ...metadata },
    type: type ?? 'kubernetes.io/dockerconfigjson',
    data: data ?? { '.dockerconfigjson': DATA },
  }
}

/** What the API server says against a create by regcredd; undefined where it has nothing against it. A dry run: nothing is stored. */
async function refusal(object: object, user = USER): Promise<string | undefined> {
  const args = ['create', '--dry-run=server', `--as=${user}`, '-f', '-']
  return api.kubectl(args, JSON.stringify(object)).then(
    () => undefined,
    (error: Error & { stderr?: string }) => error.stderr ?? error.message,
  )
}

const patched = (args: string[]) =>
  api.kubectl(['patch', `--as=${USER}`, ...args]).then(
    () => undefined,
    (error: Error & { stderr?: string }) => error.stderr ?? error.message,
  )

test('with the shipped rights and policy a whole cluster is mirrored, and drift is seen and repaired', {
  skip,
}, async () => {
  const { time, begin, sleptMs } = createCountedTime()
  const rig = rigFor({ time })
  rig.start()
  await until(() => rig.results().length === 3 && !rig.stale())
  assert.deepEqual(
    rig.results().map(({ outcome }) => outcome),
    ['created', 'created', 'created'],
  )
  const account = JSON.parse(await api.kubectl(['get', 'serviceaccount', 'default', '-n', 'team-a', '-o', 'json']))
  assert.deepEqual(account.imagePullSecrets, [{ name: 'regcred' }])
  const patch = JSON.stringify({ data: { '.dockerconfigjson': DATA } })
  await api.kubectl(['patch', 'secret', 'regcred', '-n', 'team-a', '-p', patch])
  await until(() => rig.drifts.length === 1)
  begin()
  await api.kubectl(['create', 'namespace', 'team-d'])
  await until(() => rig.results().length === 4 && !rig.stale())
  assert.ok(sleptMs() < 1_000)
  await api.kubectl(['delete', 'namespace', 'team-d', '--wait=false'])
  await until(() => rig.results().length === 3)
  await rig.close()
})

test('with the shipped rights and policy an orphan is cleaned up, and its name taken from the ServiceAccount', {
  skip,
}, async () => {
  const all = rigFor()
  all.start()
  await until(() => all.results().length === 3 && !all.stale())
  await all.close()
  const fewer = rigFor({ mirrors: [{ ...TEAMS[0], registries: [REGISTRY], namespaces: ['team-a*'] }] })
  fewer.start()
  const gone = () => new Set(fewer.changes.filter(({ outcome }) => outcome === 'removed').map((one) => one.namespace))
  await until(() => gone().size === 2)
  await assert.rejects(api.kubectl(['get', 'secret', 'regcred', '-n', 'team-b']), /NotFound/)
  const account = JSON.parse(await api.kubectl(['get', 'serviceaccount', 'default', '-n', 'team-b', '-o', 'json']))
  assert.deepEqual(account.imagePullSecrets ?? [], [])
  await fewer.close()
})

test('another tool of the same name in the ServiceAccount outlives ours, on the real API', { skip }, async () => {
  const theirs = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'team-own' } }
  await api.kubectl(['create', 'namespace', 'team-own'])
  const text = JSON.stringify({ ...theirs, imagePullSecrets: [{ name: 'other' }], automountServiceAccountToken: false })
  await api.kubectl(['apply', '-f', '-'], text)
  const rig = rigFor({ mirrors: [{ ...TEAMS[0], registries: [REGISTRY], namespaces: ['team-own*'] }] })
  rig.start()
  await until(() => rig.results().some(({ namespace }) => namespace === 'team-own') && !rig.stale())
  await rig.close()
  const account = JSON.parse(await api.kubectl(['get', 'serviceaccount', 'default', '-n', 'team-own', '-o', 'json']))
  assert.deepEqual(account.imagePullSecrets, [{ name: 'other' }, { name: 'regcred' }])
  assert.equal(account.automountServiceAccountToken, false)
})

for (const [what, args, allowed] of [
  ['list the Secrets of its name everywhere', ['list', 'secrets/regcred', '-A'], true],
  ['list all Secrets', ['list', 'secrets', '-A'], false],
  ['read another Secret', ['get', 'secrets/other', '-n', 'team-a'], false],
  ['replace a Secret', ['update', 'secrets/regcred', '-n', 'team-a'], false],
  ['delete all Secrets', ['deletecollection', 'secrets', '-n', 'team-a'], false],
  ['make tokens of ServiceAccounts', ['create', 'serviceaccounts', '--subresource=token', '-n', 'team-a'], false],
  ['change another ServiceAccount', ['patch', 'serviceaccounts/builder', '-n', 'team-a'], false],
  ['delete a ServiceAccount', ['delete', 'serviceaccounts/default', '-n', 'team-a'], false],
  ['read pods', ['get', 'pods', '-A'], false],
] as const) {
  test(`the mirror's role may ${allowed ? '' : 'not '}${what}`, { skip }, async () => {
    const answer = api.kubectl(['auth', 'can-i', `--as=${USER}`, ...args])
    if (allowed) assert.equal((await answer).trim(), 'yes')
    else await assert.rejects(answer, /Command failed/)
  })
}

test("a follower's token may do nothing in a tenant's namespace", { skip }, async () => {
  const as = '--as=system:serviceaccount:regcredd:regcredd-follower'
  for (const verb of ['get', 'list', 'watch', 'create', 'patch', 'update', 'delete']) {
    for (const resource of ['secrets/regcred', 'serviceaccounts/default']) {
      await assert.rejects(api.kubectl(['auth', 'can-i', as, '-n', 'team-a', verb, resource]), /Command failed/)
    }
  }
})

const account = (parts: object) => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'default', namespace: 'team-c' },
  ...parts,
})

for (const [what, object, told] of [
  ['a Secret of its own', secret('regcredd'), undefined],
  ['a Secret of another name', secret('team-a', { name: 'other' }), /no Secret of this name/],
  ['a Secret of another type', secret('regcredd', { type: 'Opaque', data: { a: DATA } }), /no Secret of this type/],
  [
    'a ServiceAccount token',
    secret('regcredd', {
      type: 'kubernetes.io/service-account-token',
      data: {},
      metadata: { annotations: { ...SIGNS.annotations, 'kubernetes.io/service-account.name': 'regcredd' } },
    }),
    /no Secret of this type/,
  ],
  [
    'a Secret with other data',
    secret('regcredd', { data: { '.dockerconfigjson': DATA, more: DATA } }),
    /no other data/,
  ],
  ['a Secret without our signs', secret('regcredd', { metadata: { labels: {} } }), /must sign/],
  ['a Secret with a finalizer', secret('regcredd', { metadata: { finalizers: ['a.example/b'] } }), /no finalizers/],
  [
    'a ServiceAccount of another name',
    { ...account({}), metadata: { name: 'builder', namespace: 'regcredd' } },
    /no ServiceAccount of this name/,
  ],
  [
    'a ServiceAccount with a role at a cloud provider',
    {
      ...account({}),
      metadata: { name: 'default', namespace: 'regcredd', annotations: { 'eks.amazonaws.com/role-arn': 'a' } },
    },
    /no other annotation/,
  ],
  [
    "a ServiceAccount with somebody else's pull secret",
    { ...account({ imagePullSecrets: [{ name: 'other' }] }), metadata: { name: 'default', namespace: 'regcredd' } },
    /no other image pull secret/,
  ],
] as const) {
  test(`the policy ${told === undefined ? 'lets regcredd make' : 'refuses'} ${what}`, { skip }, async () => {
    const said = await refusal(object)
    if (told === undefined) assert.equal(said, undefined)
    else assert.match(said ?? 'allowed', told)
  })
}

test('the policy keeps regcredd from the namespace of a fleet, and other accounts of its namespaces from all that it is kept from', {
  skip,
}, async () => {
  await api.kubectl(['create', 'namespace', 'regcredd-system'])
  const inFleet = secret('regcredd-system', { name: 'regcredd-x', type: 'regcredd.io/credential' })
  assert.match((await refusal(inFleet)) ?? 'allowed', /no Secret of this name/)
  const rights = ['create', 'clusterrolebinding', 'second', '--clusterrole=regcredd-mirror']
  await api.kubectl([...rights, '--serviceaccount=regcredd-system:second'])
  const second = 'system:serviceaccount:regcredd-system:second'
  await api.untilMayCreateSecrets(second, 'team-c')
  assert.match((await refusal(secret('team-c', { name: 'other' }), second)) ?? 'allowed', /no Secret of this name/)
})

test('the policy keeps regcredd from what others made and from all else of a ServiceAccount', { skip }, async () => {
  await api.kubectl(['create', 'namespace', 'theirs'])
  const theirs = secret('theirs', { metadata: { labels: {}, annotations: {} } })
  await api.kubectl(['create', '-f', '-'], JSON.stringify(theirs))
  const take = JSON.stringify({ metadata: SIGNS })
  assert.match((await patched(['secret', 'regcred', '-n', 'theirs', '-p', take])) ?? '', /did not make this Secret/)
  const gone = api.kubectl(['delete', 'secret', 'regcred', '-n', 'theirs', `--as=${USER}`])
  await assert.rejects(gone, /did not make this Secret/)
  await api.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ ...account({}), metadata: { name: 'default', namespace: 'theirs' } }),
  )
  for (const [change, told] of [
    [{ automountServiceAccountToken: false }, /nothing else/],
    [{ secrets: [{ name: 'a' }] }, /nothing else/],
    [{ metadata: { labels: { a: 'b' } } }, /no label/],
    [{ metadata: { annotations: { a: 'b' } } }, /no other annotation/],
    [{ imagePullSecrets: [{ name: 'other' }] }, /no other image pull secret/],
    [{ metadata: { ownerReferences: [{ ...OWNER_REFERENCE }] } }, /no owners/],
    [{ metadata: { finalizers: ['any.example/one'] } }, /no finalizers/],
  ] as const) {
    const said = await patched(['serviceaccount', 'default', '-n', 'theirs', '-p', JSON.stringify(change)])
    assert.match(said ?? 'allowed', told)
  }
  const good = JSON.stringify({ imagePullSecrets: [{ name: 'regcred' }] })
  assert.equal(await patched(['serviceaccount', 'default', '-n', 'theirs', '-p', good]), undefined)
})

test('the policy holds nobody else back', { skip }, async () => {
  await api.kubectl(['create', 'secret', 'generic', 'anything', '-n', 'team-c', '--from-literal=a=b'])
})

test('a check with a token that the API server does not know says so', { skip }, async () => {
  const rig = rigFor({ kubeconfig: await api.kubeconfig({ token: 'unknown' }) })
  const told = /does not accept the kubeconfig's user \(HTTP 401/
  await assert.rejects(rig.check(AbortSignal.timeout(20_000)), { code: 'KUBERNETES_FAILED', detail: told })
})

test('a check tells every right that is there and every one that is missing, for each namespace', {
  skip,
}, async () => {
  const rig = rigFor()
  const never = new AbortController().signal
  const whole = await rig.check(never)
  assert.ok(whole.complete, JSON.stringify(whole.rights.filter(({ allowed }) => !allowed)))
  assert.ok(whole.rights.length >= 12)

  const follower = rigFor({ kubeconfig: await kubeconfigOf('regcredd-follower') })
  assert.ok((await follower.check(never)).rights.every(({ allowed }) => !allowed))

  const mirrors = [{ registries: [REGISTRY], namespaces: ['team-a', 'team-b'] }]
  const named = rigFor({ kubeconfig: await api.kubeconfig('regcredd'), mirrors })
  await api.kubectl(['create', 'role', 'm', '-n', 'team-a', '--verb=get,create,patch', '--resource=secrets'])
  await api.kubectl(['create', 'rolebinding', 'm', '-n', 'team-a', '--role=m', '--user=regcredd'])
  await api.untilMayCreateSecrets('regcredd', 'team-a')
  const { rights, complete } = await named.check(never)
  assert.equal(complete, false)
  assert.deepEqual(
    rights.map(({ right, allowed }) => [right.namespace, right.verb, right.name, allowed]),
    [
      ['team-a', 'get', 'regcred', true],
      ['team-a', 'patch', 'regcred', true],
      ['team-a', 'create', undefined, true],
      ['team-b', 'get', 'regcred', false],
      ['team-b', 'patch', 'regcred', false],
      ['team-b', 'create', undefined, false],
    ],
  )
})
