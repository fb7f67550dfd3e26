import assert from 'node:assert/strict'
import { createSign, generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { type KubeApiserver, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

const HOST = 'registry.corp.example'
const TEAM = 'ghcr.example:5000/team'
const DEPLOY = 'system:serviceaccount:ci:deploy'
const skip = skipWithoutKubernetes() || skipWithout('openssl')

describe('callers that a real cluster knows', { skip }, () => {
  let folder: string
  let ca: Awaited<ReturnType<typeof makeCa>>
  let api: KubeApiserver
  let daemon: Daemon
  let own: string
  // A key of ours that the API server trusts, too: for tokens that it would not make.
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-callers-'))
    ca = await makeCa(folder)
    await mkdir(join(folder, 'server'))
    const { certFile, keyFile } = await makeServerCertificate(ca, join(folder, 'server'), ['localhost', '127.0.0.1'])
    const publicFile = join(folder, 'service-accounts.pub')
    await writeFile(publicFile, publicKey.export({ type: 'spki', format: 'pem' }))
    api = await startKubeApiserver({ args: [`--service-account-key-file=${publicFile}`] })
    await apply('rbac-follower.yaml')
    await bindDaemon()
    await apply('rbac-ci.yaml')
    const token = (await api.kubectl(['-n', 'regcredd', 'create', 'token', 'regcredd-follower'])).trim()
    daemon = await startDaemon({
      registries: [
        { host: HOST, upstream: 'https://127.0.0.1:1' },
        { host: TEAM, upstream: 'https://127.0.0.1:1' },
      ],
      config: {
        admin: {
          tls: { listen: '127.0.0.1:0', certFile, keyFile, hosts: ['localhost'] },
          kubernetesAuth: { audience: 'regcredd', timeoutMs: 10_000 },
        },
        kubernetes: { kubeconfig: await api.kubeconfig({ token }) },
      },
    })
    own = (await daemon.cli(['token', 'create', '--scope', 'read'])).stdout.trim()
  })

  after(async () => {
    await daemon?.close()
    await api?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** The daemon of this test is the one without any other right. */
  const bindDaemon = () =>
    apply('rbac-callers.yaml', (yaml) => yaml.replace(/ {4}name: regcredd$/m, '    name: regcredd-follower'))

  async function apply(file: string, change = (yaml: string) => yaml): Promise<void> {
    const yaml = await readFile(new URL(`../../kubernetes/${file}`, import.meta.url), 'utf8')
    await api.kubectl(['apply', '-f', '-'], change(yaml))
  }

  /** A token as the cluster makes it. */
  const tokenOf = async (account = 'deploy', ...args: string[]) =>
    (await api.kubectl(['-n', 'ci', 'create', 'token', account, ...args])).trim()
  const forUs = (account?: string) => tokenOf(account, '--audience=regcredd')

  async function made({ fromS, toS }: { fromS: number; toS: number }): Promise<string> {
    const uid = await api.kubectl(['-n', 'ci', 'get', 'serviceaccount', 'deploy', '-o', 'jsonpath={.metadata.uid}'])
    const nowS = Math.floor(Date.now() / 1_000)
    const encoded = [
      { alg: 'ES256', typ: 'JWT' },
      {
        iss: 'https://kubernetes.test',
        sub: DEPLOY,
        aud: ['regcredd'],
        iat: nowS + fromS,
        nbf: nowS + fromS,
        exp: nowS + toS,
        'kubernetes.io': { namespace: 'ci', serviceaccount: { name: 'deploy', uid } },
      },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    const signed = createSign('sha256').update(encoded.join('.')).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' })
    return [...encoded, signed.toString('base64url')].join('.')
  }

  async function ask(token: string, path = `/v1/registries/${HOST}`, method = 'GET', body?: object) {
    const ports = [...daemon.log().matchAll(/"adminTls":"127.0.0.1:(\d+)"/g)]
    const headers = { host: 'localhost', authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const options = { host: '127.0.0.1', port: ports.at(-1)?.[1], servername: 'localhost', ca: ca.cert }
    const asked = request({ ...options, method, path, headers, agent: new Agent() })
    asked.end(body === undefined ? undefined : JSON.stringify(body))
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      asked.on('response', resolve).on('error', reject)
    })
    const { code, detail } = JSON.parse(await text(answer))
    return [answer.statusCode, code, detail]
  }

  const status = async (...args: Parameters<typeof ask>) => (await ask(...args))[0]
  /** What RBAC learns it learns a moment later. */
  const untilStatus = (wanted: number, ...args: Parameters<typeof ask>) =>
    eventually(`${wanted}`, async () => (await status(...args)) === wanted, 40_000)

  test('the daemon has the rights that it needs to ask, and the check tells of them', async () => {
    const { code, stdout } = await daemon.cli(['kubernetes', 'check', '--json'])
    const { complete, rights } = JSON.parse(stdout)
    assert.deepEqual([code, complete], [0, true])
    const asked = rights.map(({ verb, resource }: { verb: string; resource: string }) => `${verb} ${resource}`)
    assert.deepEqual(asked, ['create tokenreviews', 'create subjectaccessreviews'])
  })

  test('a ServiceAccount may do what its ClusterRole says for its registry, and is the actor', async () => {
    const token = await forUs()
    await untilStatus(200, token)
    // There is no credential to rotate; that is said after the right was found.
    const rotating = `/v1/registries/${HOST}/rotations`
    assert.deepEqual((await ask(token, rotating, 'POST', { password: 'new' })).slice(0, 2), [
      404,
      'CREDENTIAL_NOT_FOUND',
    ])
    const acts = (await daemon.audit()).filter(({ type }) => type === 'admin.intent' || type === 'admin.outcome')
    const vias = acts.map((act) => ('actor' in act ? act.actor.via : ''))
    assert.ok(vias.includes(`kubernetes:${DEPLOY}`), vias.join())
    await eventually('the log tells', () =>
      daemon.log().includes('"actor":"kubernetes:system:serviceaccount:ci:deploy"'),
    )
  })

  test('what it has no right to is refused: another registry, all of them, the audit, what is for the socket', async () => {
    const token = await forUs()
    const team = encodeURIComponent(TEAM)
    for (const [method, path, needs] of [
      ['GET', `/v1/registries/${team}`, `it needs the verb get for registries.regcredd.io "${TEAM}"`],
      ['POST', `/v1/registries/${team}/rotations`, `it needs the verb create for rotations.regcredd.io "${TEAM}"`],
      ['GET', '/v1/registries', 'it needs the verb list for registries.regcredd.io'],
      ['GET', '/v1/audit', 'it needs the verb list for audit.regcredd.io'],
      ['DELETE', `/v1/registries/${HOST}/credential`, 'no right does: it is for the admin socket alone'],
      ['GET', '/v1/tokens', 'no right does: it is for the admin socket alone'],
    ] as const) {
      assert.deepEqual(await ask(token, path, method), [403, 'KUBERNETES_ACCESS_DENIED', needs])
    }
    const refused = (await daemon.audit()).flatMap((record) => (record.type === 'admin.refused' ? [record] : []))
    assert.ok(refused.some(({ detail }) => detail['user'] === DEPLOY))
  })

  test('a right to a registry with a port and a path is one to that alone, and ends when it is taken away', async () => {
    const token = await forUs()
    const team = `/v1/registries/${encodeURIComponent(TEAM)}`
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'team' },
      rules: [{ apiGroups: ['regcredd.io'], resources: ['registries'], resourceNames: [TEAM], verbs: ['get'] }],
    }
    assert.equal(await status(token, team), 403)
    await api.kubectl(['create', '-f', '-'], JSON.stringify(role))
    await api.kubectl(['create', 'clusterrolebinding', 'team', '--clusterrole=team', '--serviceaccount=ci:deploy'])
    await untilStatus(200, token, team)
    assert.equal(await status(token, `/v1/registries/${encodeURIComponent('ghcr.example:5000')}`), 403)
    await api.kubectl(['delete', 'clusterrolebinding', 'team'])
    await untilStatus(403, token, team)
  })

  test('a token for another audience, or for the API server, is refused', async () => {
    for (const token of [await tokenOf('deploy', '--audience=vault'), await tokenOf(), api.tokens.admin]) {
      assert.deepEqual((await ask(token)).slice(0, 2), [401, 'TOKEN_REFUSED'])
    }
  })

  test('a token that has expired is refused', async () => {
    assert.equal(await status(await made({ fromS: -60, toS: 600 })), 200)
    assert.equal(await status(await made({ fromS: -3_600, toS: -600 })), 401)
  })

  test('the token of a deleted ServiceAccount is good for some seconds at most', async () => {
    await api.kubectl(['-n', 'ci', 'create', 'serviceaccount', 'passing'])
    const args = ['create', 'clusterrolebinding', 'passing', '--clusterrole=regcredd-rotate-registry-corp-example']
    await api.kubectl([...args, '--serviceaccount=ci:passing'])
    const token = await forUs('passing')
    await untilStatus(200, token)
    await api.kubectl(['-n', 'ci', 'delete', 'serviceaccount', 'passing'])
    // Ten seconds of ours, ten of the API server.
    await eventually('it is refused', async () => [401, 429].includes((await status(token)) ?? 0), 40_000)
  })

  test('a daemon that may not ask lets nobody in by the cluster, and the log and the check say what is missing', async () => {
    const token = await forUs()
    await api.kubectl(['delete', 'clusterrolebinding', 'regcredd-callers'])
    await untilStatus(503, token)
    await eventually('the log tells', () => /may create no tokenreviews.*rbac-callers.yaml/.test(daemon.log()))
    const { code, stdout } = await daemon.cli(['kubernetes', 'check'])
    assert.deepEqual([code, stdout.match(/tokenreviews|subjectaccessreviews/g)?.length], [1, 2], stdout)
    await bindDaemon()
    await untilStatus(200, token)
    await eventually('the log tells', () => daemon.log().includes('the cluster answers again about callers'))
  })

  test('while the API server is away its callers get 503, and tokens of our own and the socket go on', async () => {
    const token = await forUs()
    await api.stop()
    try {
      // This address has failed five times by now, so the first answer may be a 429.
      await eventually('it is told', async () => (await ask(token))[1] === 'KUBERNETES_AUTH_UNAVAILABLE', 40_000)
      assert.equal(await status(own, '/v1/status'), 200)
      assert.equal((await daemon.rest('GET', '/v1/status')).status, 200)
    } finally {
      await api.start()
    }
    await untilStatus(200, token)
    assert.equal(daemon.log().includes(token), false)
    assert.equal(JSON.stringify(await daemon.audit()).includes(token), false)
  })
})
