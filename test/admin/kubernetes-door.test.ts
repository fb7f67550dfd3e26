import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../src/admin/endpoint.ts'
import { endpoints } from '../../src/admin/endpoints.ts'
import { createKubernetesCallers } from '../../src/admin/kubernetes-callers.ts'
import { kubernetesRights } from '../../src/admin/kubernetes-rights.ts'
import { sample } from '../keychain/sample.ts'
import { KEY, newPassword } from '../rotation/kit.ts'
import { createScriptedReviews, userOf } from './kubernetes-kit.ts'
import { createTokenDesk } from './token-kit.ts'

const GOOD = 'Bearer aaa.bbb.ccc'
const WRONG = 'Bearer aaa.bbb.wrong'
const all = Object.values<Endpoint>(endpoints)

function setting() {
  const cluster = createScriptedReviews()
  cluster.state.known.set('aaa.bbb.ccc', userOf('deploy'))
  // The clock of the cache stands still; a test of the cache moves its own.
  const desk = createTokenDesk({ kubernetesCallers: createKubernetesCallers(cluster.reviews, () => 0) })
  return { ...desk, ...cluster }
}

test('every endpoint says which right of the cluster opens it', () => {
  assert.deepEqual(Object.keys(kubernetesRights).sort(), all.map(({ name }) => name).sort())
  for (const { name, openers } of all) {
    const isForSocket = kubernetesRights[name as keyof typeof kubernetesRights] === 'socket'
    assert.equal(isForSocket, openers.length === 0, `${name}: what no token opens, the cluster does not open either`)
  }
})

test('each endpoint asks for its right and its registry, refuses without it, and those of the socket ask nothing', async () => {
  const desk = setting()
  await desk.bench.keychain.update(KEY, () => sample(KEY, 'old'))
  desk.bench.registry.mood = 'hanging'
  const { id } = await desk.bench.rotations.start(KEY, newPassword('new'))
  desk.state.allows = () => false
  for (const endpoint of all) {
    const { name, method, path } = endpoint
    const needed = kubernetesRights[name as keyof typeof kubernetesRights]
    desk.accesses.length = 0
    const place = path.replace(':host', encodeURIComponent(KEY)).replace(':id', id)
    const { status, body } = await desk.ask[method](place).set('Authorization', GOOD)
    if (needed === 'any') {
      assert.equal(status, 200, name)
      continue
    }
    assert.deepEqual([status, body.code], [403, 'KUBERNETES_ACCESS_DENIED'], name)
    const registry = path.includes('/:') ? KEY : undefined
    assert.deepEqual(desk.accesses, needed === 'socket' ? [] : [{ ...needed, name: registry }], name)
  }
  assert.equal(desk.asked.length, 1)
  assert.ok(desk.refused.every(({ user }) => user === userOf('deploy').name))
  assert.ok(desk.refused.length > 10)
  await desk.bench.rotations.close()
})

test('a ServiceAccount rotates the registry that it has the right for, in any spelling, and is the actor', async () => {
  const desk = setting()
  await desk.bench.keychain.update(KEY, () => sample(KEY, 'old'))
  desk.bench.registry.password = 'new'
  desk.state.allows = ({ name }) => name === KEY
  await desk.ask
    .post('/v1/registries/Registry.Corp.Example%3A443%2Fteam/rotations')
    .set({ Authorization: GOOD, 'Regcredd-Actor': 'somebody else', Prefer: 'wait=5' })
    .send({ password: 'new' })
    .expect(200)
  const actor = { via: 'kubernetes:system:serviceaccount:ci:deploy', name: undefined }
  assert.deepEqual(desk.bench.acts.find(({ action }) => action === 'rotation.start')?.actor, actor)
  assert.equal(desk.lines.at(-1)?.actor, actor.via)
  await desk.ask.get('/v1/registries/ghcr.example').set('Authorization', GOOD).expect(403)
  desk.heard(await desk.ask.get('/v1/status').set('Authorization', GOOD))
  desk.assertSilent('aaa.bbb.ccc')
  await desk.bench.rotations.close()
})

test('while the cluster is away its callers get 503, and our own tokens go on', async () => {
  const desk = setting()
  const own = await desk.tokenFor(['read'])
  desk.state.isAway = true
  for (let count = 0; count < 8; count += 1) {
    const { status, body } = await desk.ask.get('/v1/status').set('Authorization', GOOD)
    assert.deepEqual([status, body.code], [503, 'KUBERNETES_AUTH_UNAVAILABLE'])
  }
  await desk.ask.get('/v1/status').set('Authorization', own).expect(200)
  desk.state.isAway = false
  await desk.ask.get('/v1/status').set('Authorization', GOOD).expect(200)
})

test('what looks like a token of our own never goes to the cluster', async () => {
  const desk = setting()
  for (const token of [`rcd_${'0'.repeat(16)}_${'A'.repeat(43)}`, 'rcd_cut_short', '']) {
    const { status, body } = await desk.ask.get('/v1/status').set('Authorization', `Bearer ${token}`)
    assert.deepEqual([status, body.code], [401, 'TOKEN_REFUSED'])
  }
  assert.deepEqual(desk.asked, [])
})

test('wrong tokens of the cluster are failures; then the cluster is seldom asked, and a right one is let in', async () => {
  const desk = setting()
  const statusOf = async (token: string) => (await desk.ask.get('/v1/status').set('Authorization', token)).status
  const statuses: number[] = []
  for (let count = 0; count < 8; count += 1) statuses.push(await statusOf(`${WRONG}${count}`))
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429, 429])
  // The sixth was the one that a held-back address may have asked about in this quarter of a second.
  assert.equal(desk.asked.length, 6)
  desk.clock.nowMs = 249
  assert.equal(await statusOf(GOOD), 429)
  desk.clock.nowMs = 250
  assert.equal(await statusOf(GOOD), 200)
  assert.equal(await statusOf(GOOD), 200)
  assert.equal(desk.asked.length, 7)
})

test('without the setting a token of the cluster is a wrong token', async () => {
  const { ask } = createTokenDesk()
  const { status, body } = await ask.get('/v1/status').set('Authorization', GOOD)
  assert.deepEqual([status, body.code], [401, 'TOKEN_REFUSED'])
})
