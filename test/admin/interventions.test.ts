import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StartRequest } from '../../src/rotation/start-request.ts'
import { KEY, usualPolicy } from '../rotation/kit.ts'
import { createDesk, logIn, PATH } from './kit.ts'

const rotations = `${PATH}/rotations`

/** A desk whose rotations only note what they are asked to begin. */
function noting() {
  const asked: StartRequest[] = []
  const desk = createDesk()
  desk.parts.rotations = {
    ...desk.bench.rotations,
    start: async (_key, request) => {
      asked.push(request)
      throw new Error('noted')
    },
  }
  return { ...createDesk({ admin: { rotations: desk.parts.rotations } }), asked }
}

test('a generated password is asked for in the form that the body says, and never together with one', async () => {
  const { ask, asked } = noting()
  for (const generate of [{}, { length: 20 }, { alphabet: 'hex' }, { length: 128, alphabet: 'signs' }]) {
    await ask.post(rotations).send({ generate }).expect(500)
    assert.deepEqual([asked.at(-1)?.generate, asked.at(-1)?.secret], [generate, undefined])
  }
  const count = asked.length
  for (const body of [
    {},
    { password: 'a', generate: {} },
    { generate: { length: 19 } },
    { generate: { length: 129 } },
    { generate: { alphabet: 'digits' } },
    { generate: { words: 4 } },
    { generate: true },
    { generate: null },
  ])
    await ask
      .post(rotations)
      .send(body)
      .expect(422, /BODY_INVALID/)
  assert.equal(asked.length, count)
})

test('the end of a password at the registry is a time, in any zone', async () => {
  const { ask, asked } = noting()
  for (const expiresAt of ['2027-01-02T03:04:05Z', '2027-01-02T03:04:05.678+02:00']) {
    await ask.post(rotations).send({ password: 'a', expiresAt }).expect(500)
    assert.equal(asked.at(-1)?.expiresAt, expiresAt)
  }
  for (const expiresAt of ['tomorrow', '2027-01-02', 1_798_858_245])
    await ask
      .post(rotations)
      .send({ password: 'a', expiresAt })
      .expect(422, /must be a time such as/)
})

test('a dry run tells what would be, takes no password, and changes nothing', async () => {
  const desk = createDesk({ rotation: { policyOf: () => ({ ...usualPolicy, canary: 'team/canary' }) } })
  await logIn(desk)
  const acts = desk.bench.acts.length
  const answer = desk.heard(await desk.ask.post(`${rotations}?dryRun=true`).send({}).expect(200))
  assert.partialDeepStrictEqual(answer.body, {
    dryRun: true,
    host: KEY,
    way: 'provided',
    refusals: [],
    current: { version: 'v1', username: 'ci', verdict: 'accepted', detail: null },
    canary: 'team/canary',
    deadlineSeconds: 600,
  })
  const generated = await desk.ask.post(`${rotations}?dryRun=true`).send({ generate: {} }).expect(200)
  assert.deepEqual(
    generated.body.refusals.map(({ code }: { code: string }) => code),
    ['HOOK_NOT_CONFIGURED'],
  )
  assert.equal(desk.bench.acts.length, acts)
  assert.deepEqual((await desk.ask.get('/v1/rotations').expect(200)).body.rotations, [])
  for (const query of ['dryRun=1', 'dryRun=', 'dryRun', 'dryrun=true', 'dryRun=true&dryRun=true'])
    await desk.ask
      .post(`${rotations}?${query}`)
      .send({ password: 'a' })
      .expect(400, /PARAMETER_INVALID/)
  desk.assertSilent('old')
})

test('a rollback needs no body and is a rotation of its own', async () => {
  const desk = createDesk()
  await logIn(desk)
  desk.bench.registry.password = 'new'
  const done = await desk.ask.post(rotations).set('Prefer', 'wait=5').send({ password: 'new' }).expect(200)
  const path = `/v1/rotations/${done.body.id}/rollback`
  await desk.ask.post(path).send({ deadlineSeconds: -1 }).expect(422)
  await desk.ask.post(path).type('text').send('x').expect(415)
  desk.bench.registry.mood = 'hanging'
  const back = await desk.ask.post(path).set('Regcredd-Actor', 'jo').expect(202)
  assert.partialDeepStrictEqual(back.body, { way: 'rollback', rollbackOf: done.body.id, state: 'STAGED' })
  assert.equal(back.headers['location'], `/v1/rotations/${back.body.id}`)
  assert.equal(desk.bench.acts.at(-1)?.actor.name, 'jo')
  await desk.bench.rotations.close()
})

test('a rotation that is stuck is resolved by a version that is named, and by nothing else', async () => {
  const desk = createDesk()
  await logIn(desk)
  desk.bench.registry.password = 'a third one'
  const body = { password: 'new', deadlineSeconds: 0 }
  const { body: stuck } = await desk.ask.post(rotations).set('Prefer', 'wait=5').send(body).expect(200)
  assert.equal(stuck.state, 'STUCK')
  const path = `/v1/rotations/${stuck.id}/resolve`
  for (const version of ['1', 'v0', 'v01', 'CURRENT', '', 1, null])
    await desk.ask
      .post(path)
      .send({ version })
      .expect(422, /BODY_INVALID/)
  await desk.ask.post(path).expect(415)
  desk.bench.registry.password = 'old'
  const refused = await desk.ask.post(path).send({ version: 'v2' }).expect(422)
  assert.match(refused.body.detail, /v1 \(CURRENT\) accepted/)
  assert.equal((await desk.ask.post(path).send({ version: 'v1' }).expect(200)).body.state, 'ABORTED')
})
