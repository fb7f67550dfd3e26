import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { RegcreddError } from '../../src/errors.ts'
import { eventually } from '../helpers/eventually.ts'
import {
  type KubeApiserver,
  kubeconfigText,
  skipWithoutKubernetes,
  startKubeApiserver,
} from '../helpers/kube-apiserver.ts'
import { formsOf } from './credentials.ts'
import { createRig, type Rig, until } from './rig.ts'

const skip = skipWithoutKubernetes()
const REGISTRY = 'registry.corp.example'
const CANARY = 'canary<&>"7f3a:pass'
const HAND_OVER = [
  ['label', 'app.kubernetes.io/managed-by=regcredd'],
  ['annotate', 'regcredd.io/credentials={}'],
] as const

let api: KubeApiserver
let admin: string
const rigs: Rig[] = []

before(async () => {
  if (skip !== false) return
  api = await startKubeApiserver()
  admin = await api.kubeconfig('admin')
})

after(async () => {
  for (const rig of rigs) await rig.close()
  await api?.close()
})

/** A mirror into fresh namespaces, which are made unless they are to be missing. */
async function rigFor(
  options: Partial<Parameters<typeof createRig>[0]> & { namespaces: string[]; registries?: string[] },
): Promise<Rig> {
  for (const namespace of options.namespaces) await api.kubectl(['create', 'namespace', namespace])
  const { namespaces, registries = [REGISTRY] } = options
  const rig = createRig({ kubeconfig: admin, mirrors: [{ registries, namespaces, secretName: 'regcred' }], ...options })
  rigs.push(rig)
  return rig
}

type Stored = {
  metadata: {
    uid: string
    resourceVersion: string
    annotations?: Record<string, string>
    labels?: Record<string, string>
    managedFields: { manager: string }[]
  }
  type: string
  data: Record<string, string>
}

async function stored(namespace: string, name = 'regcred'): Promise<Stored> {
  return JSON.parse(await api.kubectl(['get', 'secret', name, '-n', namespace, '-o', 'json', '--show-managed-fields']))
}

function auths({ data }: Stored): Record<string, { username: string; password: string }> {
  return JSON.parse(Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString()).auths
}

const createAsAPerson = (namespace: string, password: string) =>
  api.kubectl([
    ...['create', 'secret', 'docker-registry', 'regcred', '-n', namespace, `--docker-server=${REGISTRY}`],
    ...['--docker-username=ci', `--docker-password=${password}`],
  ])

test('a Secret is created just as kubectl creates it', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['created', 'by-hand'] })
  await createAsAPerson('by-hand', CANARY)
  rig.store(REGISTRY, CANARY)
  const results = await rig.run()
  assert.deepEqual(
    results.map(({ namespace, outcome }) => [namespace, outcome]),
    [
      ['created', 'created'],
      ['by-hand', 'foreign'],
    ],
  )
  const [ours, theirs] = [await stored('created'), await stored('by-hand')]
  assert.deepEqual([ours.type, ours.data], [theirs.type, theirs.data])
})

test('a rotation is written in place: the uid stays, and the field manager is ours', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['in-place'] })
  rig.store(REGISTRY, 'one')
  await rig.run()
  const first = await stored('in-place')
  rig.store(REGISTRY, 'two')
  assert.equal((await rig.run())[0]?.outcome, 'updated')
  const second = await stored('in-place')
  assert.equal(auths(second)[REGISTRY]?.password, 'two')
  assert.equal(second.metadata.uid, first.metadata.uid)
  assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion)
  assert.deepEqual(new Set(second.metadata.managedFields.map(({ manager }) => manager)), new Set(['regcredd']))
})

test('what is there already is not written again', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['unchanged'] })
  rig.store(REGISTRY, 'one')
  await rig.run()
  const first = await stored('unchanged')
  assert.equal((await rig.run())[0]?.outcome, 'unchanged')
  assert.equal((await stored('unchanged')).metadata.resourceVersion, first.metadata.resourceVersion)
})

test('a Secret that two mirrors name holds the registries of both', { skip }, async () => {
  const rig = await rigFor({
    namespaces: ['two-mirrors'],
    mirrors: [
      { registries: [REGISTRY], namespaces: ['two-mirrors'], secretName: 'regcred' },
      { registries: ['docker.io'], namespaces: ['two-mirrors'], secretName: 'regcred' },
    ],
  })
  rig.store(REGISTRY, 'one')
  rig.store('docker.io', 'hub')
  assert.equal((await rig.run('docker.io')).length, 1)
  assert.deepEqual(Object.keys(auths(await stored('two-mirrors'))), ['https://index.docker.io/v1/', REGISTRY])
})

test('a foreign Secret is left alone until a person hands it over, and is then taken in place', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['foreign'] })
  await createAsAPerson('foreign', 'theirs')
  const theirs = await stored('foreign')
  rig.store(REGISTRY, 'ours')
  assert.equal((await rig.run())[0]?.outcome, 'foreign')
  assert.deepEqual(await stored('foreign'), theirs)
  for (const [verb, sign] of HAND_OVER) await api.kubectl([verb, 'secret', 'regcred', '-n', 'foreign', sign])
  assert.equal((await rig.run())[0]?.outcome, 'updated')
  const taken = await stored('foreign')
  assert.equal(taken.metadata.uid, theirs.metadata.uid)
  assert.equal(auths(taken)[REGISTRY]?.password, 'ours')
})

test('with `adopt` a foreign Secret is taken in place, and its other labels stay', { skip }, async () => {
  const mirrors = [{ registries: [REGISTRY], namespaces: ['adopted'], adopt: true }]
  const rig = await rigFor({ namespaces: ['adopted'], mirrors })
  await createAsAPerson('adopted', 'theirs')
  await api.kubectl(['label', 'secret', 'regcred', '-n', 'adopted', 'team=a'])
  const theirs = await stored('adopted')
  rig.store(REGISTRY, 'ours')
  const [result] = await rig.run()
  assert.deepEqual([result?.outcome, result?.detail], ['updated', 'adopted: regcredd had not made it'])
  const taken = await stored('adopted')
  assert.equal(taken.metadata.uid, theirs.metadata.uid)
  assert.equal(taken.metadata.labels?.['team'], 'a')
  assert.equal(auths(taken)[REGISTRY]?.password, 'ours')
  assert.equal((await rig.run())[0]?.outcome, 'unchanged')
})

test('a namespace that is being deleted is told in words, and is no fault of the rights', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['going'] })
  // Without a controller for namespaces it stays in this state.
  await api.kubectl(['delete', 'namespace', 'going', '--wait=false'])
  rig.store(REGISTRY, CANARY)
  const [result] = await rig.run()
  assert.equal(result?.outcome, 'failed')
  assert.match(result?.detail ?? '', /the namespace is being deleted \(HTTP 403, Forbidden\)/)
})

test('two daemons with different names do not write over each other', { skip }, async () => {
  const first = await rigFor({ namespaces: ['two-owners'] })
  first.store(REGISTRY, 'one')
  await first.run()
  const mirrors = [{ registries: [REGISTRY], namespaces: ['two-owners'] }]
  const second = await rigFor({ namespaces: [], mirrors, kubernetes: { owner: 'node-2' } })
  second.store(REGISTRY, 'other')
  const [result] = await second.run()
  assert.equal(result?.outcome, 'foreign')
  assert.match(result?.detail ?? '', /another regcredd of this cluster/)
  assert.equal(auths(await stored('two-owners'))[REGISTRY]?.password, 'one')
})

test('a Secret of another type and an immutable one are reported with the remedy', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['opaque', 'immutable'] })
  await api.kubectl(['create', 'secret', 'generic', 'regcred', '-n', 'opaque', '--from-literal=a=b'])
  await createAsAPerson('immutable', 'theirs')
  await api.kubectl(['patch', 'secret', 'regcred', '-n', 'immutable', '-p', '{"immutable":true}'])
  for (const namespace of ['opaque', 'immutable']) {
    for (const [verb, sign] of HAND_OVER) await api.kubectl([verb, 'secret', 'regcred', '-n', namespace, sign])
  }
  const before = [await stored('opaque'), await stored('immutable')]
  rig.store(REGISTRY, 'ours')
  const [opaque, immutable] = await rig.run()
  assert.deepEqual([opaque?.outcome, immutable?.outcome], ['failed', 'failed'])
  assert.match(opaque?.detail ?? '', /type is not kubernetes.io\/dockerconfigjson.*another secretName/)
  assert.match(immutable?.detail ?? '', /immutable.*delete it/)
  assert.deepEqual([await stored('opaque'), await stored('immutable')], before)
})

test('a missing and a forbidden namespace fail alone', { skip }, async () => {
  const kubeconfig = await api.kubeconfig('regcredd')
  const namespaces = ['allowed', 'forbidden']
  const mirrors = [{ registries: [REGISTRY], namespaces: ['forbidden', 'missing', 'allowed'], secretName: 'regcred' }]
  const rig = await rigFor({ namespaces, kubeconfig, mirrors })
  await api.kubectl(['create', 'role', 'm', '-n', 'allowed', '--verb=get,create,patch', '--resource=secrets'])
  await api.kubectl(['create', 'rolebinding', 'm', '-n', 'allowed', '--role=m', '--user=regcredd'])
  rig.store(REGISTRY, CANARY)
  await api.untilMayCreateSecrets('regcredd', 'allowed')
  const [forbidden, missing, allowed] = await rig.run()
  assert.equal(allowed?.outcome, 'created')
  assert.match(forbidden?.detail ?? '', /may not do this \(HTTP 403, Forbidden\)/)
  assert.equal(missing?.outcome, 'failed')
  assert.ok(rig.stale())
})

test('a namespace that does not exist is named as such to one who may see it', { skip }, async () => {
  const mirrors = [{ registries: [REGISTRY], namespaces: ['nowhere'], secretName: 'regcred' }]
  const rig = await rigFor({ namespaces: [], mirrors })
  rig.store(REGISTRY, CANARY)
  assert.deepEqual(await rig.run(), [
    { namespace: 'nowhere', secretName: 'regcred', outcome: 'failed', detail: 'the namespace does not exist' },
  ])
})

test('an unreadable keychain writes nothing, and neither does an empty one', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['locked'] })
  rig.store(REGISTRY, 'one')
  await rig.run()
  const good = await stored('locked')
  rig.breakKeychain(new RegcreddError('KEYCHAIN_LOCKED'))
  assert.match((await rig.run())[0]?.detail ?? '', /^KEYCHAIN_LOCKED/)
  rig.breakKeychain(undefined)
  rig.store(REGISTRY, undefined)
  assert.match((await rig.run())[0]?.detail ?? '', /no credential is stored for registry\.corp\.example/)
  assert.deepEqual(await stored('locked'), good)
})

test('the resync repairs what somebody changed, and what somebody deleted', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['drift'], resyncIntervalMs: 200 })
  rig.store(REGISTRY, 'one')
  rig.start()
  // The next resync comes soon: only what was told stays.
  await until(() => rig.changes.some(({ outcome }) => outcome === 'created'))
  await until(() => !rig.stale())
  const poison = Buffer.from('{"auths":{}}').toString('base64')
  await api.kubectl([
    ...['patch', 'secret', 'regcred', '-n', 'drift', '-p'],
    JSON.stringify({ data: { '.dockerconfigjson': poison } }),
  ])
  await until(async () => auths(await stored('drift'))[REGISTRY]?.password === 'one')
  await until(() =>
    rig.changes.some(({ outcome, detail }) => outcome === 'updated' && detail?.startsWith('drift') === true),
  )
  await api.kubectl(['delete', 'secret', 'regcred', '-n', 'drift'])
  await until(() => rig.changes.filter(({ outcome }) => outcome === 'created').length === 2)
  await rig.close()
})

test('many rotations at once and a resync end with the newest password, without a failure', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['busy'], resyncIntervalMs: 50 })
  rig.store(REGISTRY, 'p0')
  rig.start()
  const runs = []
  for (let n = 1; n <= 15; n += 1) {
    rig.store(REGISTRY, `p${n}`)
    runs.push(rig.run())
    await setImmediate()
  }
  const results = (await Promise.all(runs)).flat()
  assert.deepEqual(
    results.filter(({ outcome }) => outcome === 'failed'),
    [],
  )
  assert.equal(auths(await stored('busy'))[REGISTRY]?.password, 'p15')
  await rig.close()
})

test('forty Secrets need no more connections than are busy at one time', { skip }, async (t) => {
  const namespaces = Array.from({ length: 40 }, (_, n) => `many-${n}`)
  await api.kubectl(
    ['apply', '-f', '-'],
    namespaces
      .map((name) => JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
      .join('\n---\n'),
  )
  const relay = await startRelay(Number(new URL(api.url).port))
  t.after(relay.close)
  const kubeconfig = join(dirname(admin), 'relayed')
  const url = `https://127.0.0.1:${relay.port}`
  await writeFile(kubeconfig, kubeconfigText({ url, ca: api.ca, user: { token: api.tokens.admin } }))
  const mirrors = [{ registries: [REGISTRY], namespaces, secretName: 'regcred' }]
  const rig = await rigFor({ namespaces: [], mirrors, kubeconfig })
  rig.store(REGISTRY, 'one')
  const results = await rig.run()
  assert.ok(results.every(({ outcome }) => outcome === 'created'))
  await rig.run()
  assert.ok(relay.count() <= 8, `${relay.count()} connections for 160 calls`)
})

test('a token file is read, and a changed kubeconfig is taken up without a restart', { skip }, async () => {
  const kubeconfig = join(dirname(admin), 'rotated')
  const text = (user: object) => kubeconfigText({ url: api.url, ca: api.ca, user })
  await writeFile(kubeconfig, text({ token: 'stale-token-canary' }))
  const rig = await rigFor({ namespaces: ['rotated'], kubeconfig })
  rig.store(REGISTRY, CANARY)
  assert.match((await rig.run())[0]?.detail ?? '', /does not accept the kubeconfig's user \(HTTP 401/)
  await writeFile(join(dirname(admin), 'token'), `${api.tokens.admin}\n`)
  await writeFile(kubeconfig, text({ token: 'stale-token-canary', tokenFile: 'token' }))
  assert.equal((await rig.run())[0]?.outcome, 'created')
})

test('the API server away: told as stale, and caught up with by itself when it is back', { skip }, async () => {
  const rig = await rigFor({ namespaces: ['away'] })
  rig.store(REGISTRY, 'one')
  rig.start()
  await until(() => !rig.stale())
  const first = await stored('away')
  await api.stop()
  rig.store(REGISTRY, CANARY)
  // A kept connection breaks first, with another word.
  const result = await eventually('nobody is there', async () => {
    const [one] = await rig.run()
    return one?.detail?.includes('ECONNREFUSED') === true && one
  })
  assert.equal(result.outcome, 'failed')
  assert.match(result.detail ?? '', /cannot be reached \(ECONNREFUSED\)/)
  assert.ok(rig.stale())
  await api.start()
  // The pauses between its tries have grown.
  await until(() => !rig.stale(), 90_000)
  const second = await stored('away')
  assert.equal(auths(second)[REGISTRY]?.password, CANARY)
  assert.equal(second.metadata.uid, first.metadata.uid)
  await rig.close()
})

test('no result and no change ever held the password', { skip }, () => {
  const told = JSON.stringify(rigs.map((rig) => [rig.results(), rig.changes]))
  assert.ok(told.length > 2_000)
  for (const form of formsOf(CANARY)) assert.ok(!told.includes(JSON.stringify(form).slice(1, -1)), form)
  assert.ok(!told.includes('stale-token-canary') && !told.includes(api.tokens.admin))
})

/** Passes bytes on and counts who came. */
async function startRelay(target: number) {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((near) => {
    count += 1
    const far = connect(target, '127.0.0.1')
    near.pipe(far).pipe(near)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { port: address.port, count: () => count, close }
}
