import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openCallerReviews, userOf } from '../../src/mirror/caller-reviews.ts'
import { accept, type Call, refuse, type Script, startFakeKubeApi } from './fake-kube-api.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.canary.canary'
const USER = { username: 'system:serviceaccount:ci:deploy', uid: 'uid-1', groups: ['g'], extra: { 'a/b': ['c'] } }
const WHO = { name: USER.username, uid: USER.uid, groups: USER.groups, extra: USER.extra }
const ACCESS = { group: 'regcredd.io', resource: 'rotations', verb: 'create', name: 'registry.corp.example/team' }

async function setting(context: TestContext, script: Script, timeoutMs = 30_000) {
  const api = await startFakeKubeApi(script)
  const { kubeconfig, calls } = api
  const reviews = openCallerReviews({ kubeconfig, audience: 'regcredd', timeoutMs })
  context.after(async () => {
    await reviews.close()
    await api.close()
  })
  return { reviews, calls }
}

const answering = (status: object) => (call: Call, answer: ServerResponse) =>
  accept(answer, { ...call, body: JSON.stringify({ ...JSON.parse(call.body), status }) })

test('a token is asked about with our audience, and its user is told', async (t) => {
  const status = { authenticated: true, audiences: ['regcredd'], user: USER }
  const { reviews, calls } = await setting(t, answering(status))
  assert.deepEqual(await reviews.user(TOKEN), { ok: true, value: WHO })
  assert.equal(calls[0]?.path, '/apis/authentication.k8s.io/v1/tokenreviews')
  assert.deepEqual(JSON.parse(calls[0]?.body ?? '').spec, { token: TOKEN, audiences: ['regcredd'] })
})

test('an answer that does not name our audience lets nobody in', () => {
  const good = { authenticated: true, audiences: ['regcredd'], user: USER }
  assert.deepEqual(userOf(good, 'regcredd'), WHO)
  assert.deepEqual(userOf({ ...good, audiences: ['x', 'regcredd'] }, 'regcredd'), WHO)
  const { audiences: _none, ...silent } = good
  const others = [silent, ...[[], ['other'], ['regcredd-2'], ['REGCREDD']].map((audiences) => ({ ...good, audiences }))]
  for (const status of others) assert.equal(userOf(status, 'regcredd'), undefined)
})

test('who is not authenticated, or has no name that can stand in the audit, is nobody', () => {
  const good = { authenticated: true, audiences: ['regcredd'], user: USER }
  const { authenticated: _none, ...silent } = good
  for (const status of [
    silent,
    { ...good, authenticated: false },
    { authenticated: true, audiences: ['regcredd'] },
    ...['', 'two words', 'line\nbreak', 'ü', 'x'.repeat(257)].map((username) => ({ ...good, user: { username } })),
  ]) {
    assert.equal(userOf(status, 'regcredd'), undefined)
  }
})

test('a right is asked for with all that is known of the user, and the name of the registry', async (t) => {
  const { reviews, calls } = await setting(t, answering({ allowed: true }))
  assert.deepEqual(await reviews.isAllowed(WHO, ACCESS), { ok: true, value: true })
  const { name: user, ...rest } = WHO
  const resourceAttributes = { ...ACCESS, version: 'v1' }
  assert.deepEqual(JSON.parse(calls[0]?.body ?? '').spec, { user, ...rest, resourceAttributes })
})

test('only a clear yes allows', async (t) => {
  let status: object = {}
  const { reviews } = await setting(t, (call, answer) => answering(status)(call, answer))
  for (status of [{}, { allowed: false }, { allowed: false, reason: 'x' }, { allowed: true, denied: true }]) {
    assert.deepEqual(await reviews.isAllowed(WHO, ACCESS), { ok: true, value: false })
  }
})

test('what is no answer is told in words without the token: refused, garbled, slow, cut', async (t) => {
  const scripts: Script[] = [
    (_call, answer) => refuse(answer, 403, { reason: 'Forbidden', message: TOKEN }),
    (_call, answer) => refuse(answer, 401, { reason: 'Unauthorized', message: TOKEN }),
    (_call, answer) => refuse(answer, 429, { headers: { 'retry-after': '1' }, message: TOKEN }),
    (_call, answer) => refuse(answer, 500, { message: TOKEN }),
    (_call, answer) => void answer.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${TOKEN}</p>`),
    (_call, answer) => void answer.writeHead(201, { 'content-type': 'application/json' }).end('{}'),
    (_call, answer) => void answer.writeHead(201, { 'content-type': 'application/json' }).end(`{"${TOKEN}`),
    (_call, answer) => void answer.destroy(),
    () => undefined,
  ]
  for (const script of scripts) {
    const { reviews } = await setting(t, script, 500)
    for (const answer of [await reviews.user(TOKEN), await reviews.isAllowed(WHO, ACCESS)]) {
      assert.equal(answer.ok, false, String(script))
      assert.doesNotMatch(JSON.stringify(answer), /canary/)
    }
  }
})

test('an API server that is not verified, other than on the loopback, is asked nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-unverified-'))
  t.after(() => rm(folder, { recursive: true }))
  const kubeconfig = join(folder, 'kubeconfig')
  const config = {
    clusters: [{ name: 'a', cluster: { server: 'https://api.example.invalid', 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'a', user: { token: 'fake' } }],
    contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
    'current-context': 'a',
  }
  await writeFile(kubeconfig, JSON.stringify(config))
  const reviews = openCallerReviews({ kubeconfig, audience: 'regcredd', timeoutMs: 30_000 })
  t.after(() => reviews.close())
  const answer = await reviews.user(TOKEN)
  assert.match(answer.ok ? '' : answer.fault.detail, /does not verify the API server/)
})
