import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type ClientCa, makeClientCa } from '../helpers/client-tls.ts'
import { type KubeApiserver, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'
import { createRig, type Rig, until } from './rig.ts'

const skip = skipWithoutKubernetes() || skipWithout('openssl')
const REGISTRY = 'registry.corp.example'
/** For a try whose pause before it has grown to half a minute. */
const WITHIN_MS = 90_000
const rigs: Rig[] = []

let api: KubeApiserver
let clients: ClientCa
let dir: string

/** Makes an authority and a server's certificate of it, and puts them where the API server and the kubeconfig look. */
async function makeServerFiles(name: string): Promise<void> {
  const folder = join(dir, name)
  await mkdir(folder)
  const { certFile, keyFile } = await makeServerCertificate(await makeCa(folder), folder, ['127.0.0.1'])
  await copyFile(certFile, join(dir, 'server.pem'))
  await copyFile(keyFile, join(dir, 'server.key'))
}

before(async () => {
  if (skip !== false) return
  dir = await mkdtemp(join(tmpdir(), 'regcredd-identity-'))
  await mkdir(join(dir, 'clients'))
  clients = await makeClientCa(join(dir, 'clients'))
  await makeServerFiles('first')
  await copyFile(join(dir, 'first', 'ca.pem'), join(dir, 'ca.pem'))
  api = await startKubeApiserver({
    args: [`--client-ca-file=${clients.certFile}`],
    tls: { certFile: join(dir, 'server.pem'), keyFile: join(dir, 'server.key'), ca: join(dir, 'ca.pem') },
  })
  await api.kubectl(['create', 'namespace', 'team-a'])
  await api.kubectl([...'create clusterrole m --verb=get,list,watch,create,patch'.split(' '), '--resource=secrets'])
  await api.kubectl([...'create clusterrole n --verb=get,list,watch --resource=namespaces'.split(' ')])
  for (const role of ['m', 'n']) {
    await api.kubectl(['create', 'clusterrolebinding', role, `--clusterrole=${role}`, '--user=node-1'])
  }
})

after(async () => {
  for (const rig of rigs) await rig.close()
  await api?.close()
  if (dir !== undefined) await rm(dir, { recursive: true })
})

/** A mirror whose kubeconfig names the authority's file and what `user` says, all relative to its folder. */
async function rigAs(name: string, user: object, options: Partial<Parameters<typeof createRig>[0]> = {}): Promise<Rig> {
  const kubeconfig = join(dir, name)
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'one', cluster: { server: api.url, 'certificate-authority': 'ca.pem' } }],
      users: [{ name: 'one', user }],
      contexts: [{ name: 'one', context: { cluster: 'one', user: 'one' } }],
      'current-context': 'one',
    }),
  )
  const mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'] }]
  const rig = createRig({ kubeconfig, mirrors, ...options })
  rig.store(REGISTRY, 'one')
  rigs.push(rig)
  return rig
}

async function putCertificate(name: string, toMs: number): Promise<void> {
  const { certFile, keyFile } = await clients.issue(name, { subject: '/CN=node-1', fromMs: -3_600_000, toMs })
  await copyFile(certFile, join(dir, 'client.pem'))
  await copyFile(keyFile, join(dir, 'client.key'))
}

test('a client certificate that has ended is told in words, and its successor in the same file is taken up', {
  skip,
}, async () => {
  await putCertificate('ended', -60_000)
  const user = { 'client-certificate': 'client.pem', 'client-key': 'client.key' }
  const rig = await rigAs('by-certificate', user)
  rig.start()
  await until(() => rig.watches().some(({ fault }) => fault !== undefined))
  assert.match(JSON.stringify(rig.watches()), /does not accept the kubeconfig's user \(HTTP 401/)
  assert.ok(rig.stale())
  await putCertificate('renewed', 3_600_000)
  await until(() => !rig.stale(), WITHIN_MS)
  assert.equal(rig.results()[0]?.outcome, 'created')
})

test('a renewed token in its file counts from the next call on', { skip }, async () => {
  const tokenFile = join(dir, 'token')
  await writeFile(tokenFile, 'ended-canary\n')
  const rig = await rigAs(
    'by-token',
    { tokenFile: 'token' },
    {
      mirrors: [{ registries: [REGISTRY], namespaces: ['team-a'] }],
    },
  )
  assert.match((await rig.run())[0]?.detail ?? '', /HTTP 401/)
  await writeFile(tokenFile, `${api.tokens.admin}\n`)
  assert.notEqual((await rig.run())[0]?.outcome, 'failed')
  await writeFile(tokenFile, 'ended-canary\n')
  const [ended] = await rig.run()
  assert.match(ended?.detail ?? '', /HTTP 401/)
  assert.ok(!JSON.stringify(ended).includes('canary'))
})

test("a rotated authority of the API server is taken up from the kubeconfig's file, watches too", {
  skip,
}, async () => {
  await putCertificate('again', 3_600_000)
  const user = { 'client-certificate': 'client.pem', 'client-key': 'client.key' }
  const rig = await rigAs('by-new-authority', user)
  rig.start()
  await until(() => !rig.stale())
  await api.stop()
  await makeServerFiles('second')
  const starting = api.start()
  await until(
    () => rig.watches().some(({ fault }) => /\((?!ECONNREFUSED)[A-Z_]+\)/.test(fault?.detail ?? '')),
    WITHIN_MS,
  )
  await copyFile(join(dir, 'second', 'ca.pem'), join(dir, 'ca.pem'))
  await starting
  await until(() => rig.watches().every(({ fault }) => fault === undefined), WITHIN_MS)
  rig.store(REGISTRY, 'two')
  assert.equal((await rig.run())[0]?.outcome, 'updated')
})
