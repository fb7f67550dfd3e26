import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../src/admin/endpoint.ts'
import { endpoints } from '../../src/admin/endpoints.ts'
import { sample } from '../keychain/sample.ts'
import { KEY, newPassword } from '../rotation/kit.ts'
import { OTHER } from './kit.ts'
import { createTokenDesk, idOf } from './token-kit.ts'

const all = Object.values<Endpoint>(endpoints)
const wrong = `Bearer rcd_${'0'.repeat(16)}_${'A'.repeat(43)}`

/** A path that exists, of a registry or of a rotation of it. */
const pathOf = ({ path }: Endpoint, id: string, host = KEY) =>
  path.replace(':host', encodeURIComponent(host)).replace(':id', id)

async function withRotation() {
  const desk = createTokenDesk()
  await desk.bench.keychain.update(KEY, () => sample(KEY, 'old'))
  await desk.bench.keychain.update(OTHER, () => sample(OTHER, 'old'))
  desk.bench.registry.mood = 'hanging'
  const started = await desk.bench.rotations.start(KEY, newPassword('new'))
  return { ...desk, id: started.id }
}

test('every route that the app has stands in the table of endpoints, with its scopes', () => {
  const { app } = createTokenDesk()
  const routes = app.router.stack.flatMap(({ route }) => {
    if (route === undefined) return []
    const methods = route.stack.flatMap(({ method }) => (method === undefined ? [] : [method]))
    return methods.map((method) => `${method} ${route.path}`)
  })
  assert.deepEqual([...new Set(routes)].sort(), all.map(({ method, path }) => `${method} ${path}`).sort())
  assert.ok(all.every(({ openers }) => Array.isArray(openers)))
})

test('no endpoint answers without a token, or to one that has no scope for it', async () => {
  const desk = await withRotation()
  const scopes = ['read', 'audit:read', `rotate:${KEY}`]
  const headers = new Map<string, string>()
  for (const scope of scopes) headers.set(scope, await desk.tokenFor([scope]))
  const foreign = await desk.tokenFor([`rotate:${OTHER}`])
  for (const endpoint of all) {
    const { method, openers, name } = endpoint
    const path = pathOf(endpoint, desk.id)
    const without = await desk.ask[method](path)
    assert.ok([401, 429].includes(without.status), `${name}: ${without.status}`)
    for (const [scope, header] of headers) {
      const kind = scope.startsWith('rotate') ? 'rotate' : scope
      const isOpen = openers.some((opener) => opener === kind || opener === 'any')
      const { status, body } = await desk.ask[method](path)
        .set('Authorization', header)
        .set('Accept', 'application/json')
      assert.equal(status === 403 && body.code === 'TOKEN_SCOPE_MISSING', !isOpen, `${name} with ${scope}: ${status}`)
    }
    if (!openers.includes('rotate') && !openers.includes('any')) continue
    const other = await desk.ask[method](path).set('Authorization', foreign)
    assert.equal(
      other.status === 403,
      openers.includes('rotate'),
      `${name} with another registry’s scope: ${other.status}`,
    )
  }
  await desk.bench.rotations.close()
})

test('a token rotates its own registry in any spelling, and is the actor with the name that it was made with', async () => {
  const desk = createTokenDesk()
  await desk.bench.keychain.update(KEY, () => sample(KEY, 'old'))
  desk.bench.registry.password = 'new'
  const header = await desk.tokenFor([`rotate:${KEY}`])
  const answer = await desk.ask
    .post('/v1/registries/Registry.Corp.Example%3A443%2Fteam/rotations')
    .set({ Authorization: header, 'Regcredd-Actor': 'somebody else', Prefer: 'wait=5' })
    .send({ password: 'new' })
    .expect(200)
  const actor = { via: `token:${idOf(header)}`, name: 'ci' }
  assert.deepEqual(desk.bench.acts.find(({ action }) => action === 'rotation.start')?.actor, actor)
  assert.equal(desk.lines.at(-1)?.actor, actor.via)
  await desk.ask.get(`/v1/rotations/${answer.body.id}`).set('Authorization', header).expect(200)
  desk.heard(answer)
  desk.assertSilent(header.slice(-43))
})

test('what is no right token is refused in one way, whatever is wrong with it', async () => {
  const desk = createTokenDesk()
  const right = await desk.tokenFor(['read'])
  const texts = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    wrong,
    `${right}A`,
    right.slice(0, -1),
    right.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    right.replace('Bearer', 'Basic'),
    `${right}, ${right}`,
    `Bearer ${Buffer.from(right).toString('base64')}`,
  ]
  for (const text of texts) {
    desk.clock.nowMs += 60_000
    const headers: Record<string, string> = text === undefined ? {} : { Authorization: text }
    const answer = await desk.ask.get('/v1/status').set(headers).expect(401)
    assert.equal(answer.body.code, 'TOKEN_REFUSED', `${text}`)
    assert.equal(answer.headers['www-authenticate'], 'Bearer realm="regcredd"')
  }
  await desk.ask.get('/v1/status').set('Authorization', right).expect(200)
  await desk.ask.get('/v1/status').set('Authorization', right.replace('Bearer', 'bearer')).expect(200)
})

test('an expired token is told so, and lets nobody in', async () => {
  const desk = createTokenDesk()
  const header = await desk.tokenFor(['read'], 60)
  desk.bench.time.pass(59_999)
  await desk.ask.get('/v1/status').set('Authorization', header).expect(200)
  desk.bench.time.pass(1)
  const answer = await desk.ask.get('/v1/status').set('Authorization', header).expect(401)
  assert.equal(answer.body.code, 'TOKEN_EXPIRED')
  assert.match(answer.headers['www-authenticate'] ?? '', /error="invalid_token"/)
})

test('five failures in a minute hold an address back; a right token is let in all the same, and counts for nothing', async () => {
  const desk = createTokenDesk()
  const right = await desk.tokenFor(['read'])
  const tryWrong = () => desk.ask.get('/v1/status').set('Authorization', wrong)
  for (let count = 0; count < 5; count += 1) {
    await tryWrong().expect(401)
    await desk.ask.get('/v1/status').set('Authorization', right).expect(200)
  }
  desk.clock.nowMs = 20_000
  const held = await tryWrong().expect(429)
  assert.equal(held.body.code, 'TOO_MANY_FAILURES')
  assert.equal(held.headers['retry-after'], '40')
  await desk.ask.get('/v1/status').set('Authorization', right).expect(200)
  desk.clock.nowMs = 60_000
  await tryWrong().expect(401)
})

test('a Host that is not among the names of the listener is refused, whatever the token', async () => {
  const desk = createTokenDesk()
  const header = await desk.tokenFor(['read'])
  const statusOf = async (host: string) =>
    (await desk.ask.get('/v1/status').set({ Authorization: header, Host: host })).status
  for (const host of ['node-1.corp.example', 'NODE-1.corp.example:5443', '127.0.0.1', '[fd00::1]:5443'])
    assert.equal(await statusOf(host), 200, host)
  for (const host of [
    'localhost',
    'evil.example',
    'node-1.corp.example.evil.example',
    '[::1]',
    'node-1.corp.example:x',
  ])
    assert.equal(await statusOf(host), 403, host)
  await desk.ask.get('/v1/status').set({ 'Regcredd-Actor': 'jo', Host: 'evil.example' }).expect(401)
  assert.equal(desk.lines.at(-1)?.actor, undefined)
  assert.equal(desk.refused.length, 1)
  const page = await desk.ask
    .get('/v1/status')
    .set('Authorization', header)
    .set('Origin', 'https://node-1.corp.example')
  assert.equal(page.body.code, 'ORIGIN_REFUSED')
})

test('refusals are recorded with what is no secret, twenty a minute, and those left out are counted', async () => {
  const desk = createTokenDesk()
  const reader = await desk.tokenFor(['read'])
  await desk.ask.get('/v1/audit?limit=3').set('Authorization', reader).expect(403)
  await desk.ask.get('/v1/status?x=hunter2').set('Authorization', wrong)
  const [forbidden, refused] = desk.refused
  assert.deepEqual(forbidden, {
    code: 'TOKEN_SCOPE_MISSING',
    peer: '127.0.0.1',
    method: 'GET',
    path: '/v1/audit',
    token: idOf(reader),
  })
  assert.partialDeepStrictEqual(refused, { code: 'TOKEN_REFUSED', path: '/v1/status', token: '0'.repeat(16) })
  for (let count = 0; count < 30; count += 1) await desk.ask.get('/v1/status').set('Authorization', wrong)
  assert.equal(desk.refused.length, 20)
  desk.clock.nowMs = 60_000
  await desk.ask.get('/v1/status').set('Authorization', wrong)
  assert.equal(desk.refused.at(-1)?.['leftOut'], 12)
  assert.ok(
    !JSON.stringify(desk.refused).includes(reader.slice(-43)) && !JSON.stringify(desk.refused).includes('hunter2'),
  )
})
