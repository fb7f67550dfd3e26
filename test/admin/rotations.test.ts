import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { KEY } from '../rotation/kit.ts'
import { createDesk, type Desk, logIn, OTHER, PATH } from './kit.ts'

const CANARY = 'c4nary/+new "word"'
const rotations = `${PATH}/rotations`

async function ready(): Promise<Desk> {
  const desk = createDesk()
  await logIn(desk)
  return desk
}

test('a rotation is accepted with 202, a Location and its state; its end is found there', async () => {
  const desk = await ready()
  const started = desk.heard(await desk.ask.post(rotations).send({ password: CANARY }).expect(202))
  const { id, startedAt, ...rest } = started.body
  const deadline = new Date(Date.parse(startedAt) + 600_000).toISOString()
  assert.partialDeepStrictEqual(rest, {
    host: KEY,
    state: 'STAGED',
    version: 'v2',
    deadline,
    endedAt: null,
    code: null,
    mirror: [],
    partial: false,
  })
  assert.equal(started.headers['location'], `/v1/rotations/${id}`)
  desk.bench.registry.password = CANARY
  const waited = await desk.bench.rotations.wait(id, 5_000, new AbortController().signal)
  assert.equal(waited.state, 'GRACE')
  const answer = desk.heard(await desk.ask.get(started.headers['location'] ?? '').expect(200))
  assert.deepEqual([answer.body.state, answer.body.mirror, answer.body.code], ['GRACE', [], null])
  desk.assertSilent(CANARY, 'old')
})

test('Prefer: wait gives 200 and the end state, the good and the bad one', async () => {
  const desk = await ready()
  const bad = desk.heard(
    await desk.ask.post(rotations).set('Prefer', 'wait=20').send({ password: CANARY, deadlineSeconds: 0 }).expect(200),
  )
  assert.deepEqual([bad.body.state, bad.body.code], ['ABORTED', 'CREDENTIAL_REFUSED'])
  desk.bench.registry.password = CANARY
  const good = desk.heard(
    await desk.ask.post(rotations).set('Prefer', 'wait=20').send({ password: CANARY }).expect(200),
  )
  assert.equal(good.body.state, 'GRACE')
  assert.equal(good.headers['preference-applied'], 'wait=20')
  assert.equal(good.headers['location'], `/v1/rotations/${good.body.id}`)
  desk.assertSilent(CANARY)
})

test('when the time of Prefer: wait is up the answer is 202 and the state as it is', async () => {
  const desk = await ready()
  desk.bench.registry.mood = 'hanging'
  const answer = await desk.ask.post(rotations).set('Prefer', 'wait=0').send({ password: 'new' }).expect(202)
  assert.equal(answer.body.state, 'STAGED')
  await desk.bench.rotations.close()
})

test('the same Idempotency-Key and body give the same rotation, another body a conflict', async () => {
  const desk = await ready()
  desk.bench.registry.mood = 'hanging'
  const post = (body: object) => desk.ask.post(rotations).set('Idempotency-Key', 'key 1').send(body)
  const first = desk.heard(await post({ password: CANARY }).expect(202))
  const second = desk.heard(await post({ deadlineSeconds: 600, password: CANARY }).expect(202))
  assert.equal(second.body.id, first.body.id)
  const conflict = desk.heard(await post({ password: `${CANARY}!` }).expect(409))
  assert.equal(conflict.body.code, 'IDEMPOTENCY_CONFLICT')
  await desk.ask.post(`/v1/rotations/${first.body.id}/abort`).expect(200)
  assert.equal((await post({ password: CANARY }).expect(200)).body.state, 'ABORTED')
  desk.assertSilent(CANARY)
  await desk.bench.rotations.close()
})

test('another rotation under way is 409 and is named', async () => {
  const desk = await ready()
  desk.bench.registry.mood = 'hanging'
  const first = await desk.ask.post(rotations).send({ password: 'a' }).expect(202)
  const answer = await desk.ask.post(rotations).send({ password: 'b' }).expect(409)
  assert.equal(answer.body.code, 'ROTATION_ACTIVE')
  assert.ok(answer.body.detail.includes(first.body.id))
  const registry = await desk.ask.get(PATH).expect(200)
  assert.equal(registry.body.credential.pending, true)
  await desk.bench.rotations.close()
})

test('an abort ends it; after a commit there is nothing to abort', async () => {
  const desk = await ready()
  desk.bench.registry.mood = 'hanging'
  const first = await desk.ask.post(rotations).send({ password: 'a' }).expect(202)
  const aborted = await desk.ask.post(`/v1/rotations/${first.body.id}/abort`).set('Regcredd-Actor', 'jo').expect(200)
  assert.deepEqual([aborted.body.state, aborted.body.code], ['ABORTED', 'ROTATION_ABORTED'])
  assert.equal(desk.bench.acts.at(-1)?.actor.name, 'jo')
  Object.assign(desk.bench.registry, { mood: 'up', password: 'b' })
  const second = await desk.ask.post(rotations).set('Prefer', 'wait=5').send({ password: 'b' }).expect(200)
  const settled = await desk.ask.post(`/v1/rotations/${second.body.id}/abort`).expect(409)
  assert.equal(settled.body.code, 'ROTATION_SETTLED')
  await desk.ask.post('/v1/rotations/none/abort').expect(404, /ROTATION_NOT_FOUND/)
})

test('rotations are listed newest first, for all or for one registry', async () => {
  const desk = await ready()
  const ids: string[] = []
  for (const password of ['a', 'b']) {
    const body = { password, deadlineSeconds: 0 }
    const answer = await desk.ask.post(rotations).set('Prefer', 'wait=5').send(body).expect(200)
    ids.unshift(answer.body.id)
  }
  const idsAt = async (query: string) => {
    const answer = await desk.ask.get(`/v1/rotations${query}`).expect(200)
    return answer.body.rotations.map((one: { id: string }) => one.id)
  }
  assert.deepEqual(await idsAt(''), ids)
  assert.deepEqual(await idsAt(`?host=${encodeURIComponent(KEY)}`), ids)
  assert.deepEqual(await idsAt(`?host=${OTHER}`), [])
  await desk.ask.get('/v1/rotations?host=unlisted.example').expect(404, /REGISTRY_UNLISTED/)
  await desk.ask.get('/v1/rotations?host=a&host=b').expect(400, /PARAMETER_INVALID/)
})

test('without a credential there is nothing to rotate', async () => {
  const { ask } = createDesk()
  await ask
    .post(rotations)
    .send({ password: 'a' })
    .expect(404, /CREDENTIAL_NOT_FOUND/)
  await ask
    .post('/v1/registries/unlisted.example/rotations')
    .send({ password: 'a' })
    .expect(404, /REGISTRY_UNLISTED/)
})

test('a deadline is 0 to 86400 whole seconds, an Idempotency-Key 1 to 255 printable characters', async () => {
  const { ask, bench } = await ready()
  for (const deadlineSeconds of ['-1', '86401', '1.5', '"600"', 'null', '1e400']) {
    const text = `{"password":"a","deadlineSeconds":${deadlineSeconds}}`
    const answer = await ask.post(rotations).type('json').send(text).expect(422)
    assert.equal(answer.body.errors[0].path, 'deadlineSeconds')
    assert.match(answer.body.errors[0].message, /from 0 to 86400/)
  }
  for (const key of ['x'.repeat(256), 'ö']) {
    const answer = await ask.post(rotations).set('Idempotency-Key', key).send({ password: 'a' }).expect(400)
    assert.equal(answer.body.code, 'PARAMETER_INVALID')
  }
  assert.equal((await bench.keychain.get(KEY))?.rotations.length, 0)
})

test('a client that goes away while it waits leaves the rotation to go on', async (context) => {
  const desk = await ready()
  desk.bench.registry.mood = 'hanging'
  const server = desk.app.listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const leaving = new AbortController()
  const gone = fetch(`http://127.0.0.1:${port}${rotations}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Prefer: 'wait=600' },
    body: '{"password":"new"}',
    signal: leaving.signal,
  })
  await eventually('it is begun', async () => (await desk.bench.rotations.list(KEY)).length === 1)
  leaving.abort()
  await assert.rejects(gone)
  await eventually('it is logged', () => desk.lines.at(-1)?.status === 0)
  assert.equal((await desk.bench.rotations.list(KEY))[0]?.state, 'STAGED')
  await desk.bench.rotations.close()
})
