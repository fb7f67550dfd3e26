import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { versionOf } from '../../src/keychain/credential.ts'
import { sample } from '../keychain/sample.ts'
import { KEY } from '../rotation/kit.ts'
import { createDesk, logIn, OTHER, PATH } from './kit.ts'

const CANARY = 'c4nary/+pass "word"'
const credential = `${PATH}/credential`

test('a login is verified and stored, and audited with the name that the caller claims', async () => {
  const desk = createDesk()
  desk.bench.registry.password = CANARY
  const body = { username: 'ci', password: CANARY, email: 'ci@corp.example' }
  const answer = desk.heard(await desk.ask.put(credential).set('Regcredd-Actor', 'jo').send(body).expect(200))
  assert.deepEqual(answer.body, { host: KEY, username: 'ci', version: 'v1', seq: 1 })
  const stored = await desk.bench.keychain.get(KEY)
  assert.equal(stored && versionOf(stored, 'current')?.email, 'ci@corp.example')
  assert.deepEqual(desk.bench.acts[0]?.actor, { via: 'admin-socket', name: 'jo' })
  assert.deepEqual(desk.bench.mirrored, [KEY])
  desk.assertSilent(CANARY)
})

test('a wrong password is refused and nothing stored; an unverified one is stored on demand', async () => {
  const desk = createDesk()
  const body = { username: 'ci', password: CANARY }
  const refused = desk.heard(await desk.ask.put(credential).send(body).expect(422))
  assert.equal(refused.body.code, 'CREDENTIAL_REFUSED')
  assert.deepEqual(await desk.bench.keychain.keys(), [])
  desk.heard(
    await desk.ask
      .put(credential)
      .send({ ...body, verify: false })
      .expect(200),
  )
  assert.deepEqual(await desk.bench.keychain.keys(), [KEY])
  desk.assertSilent(CANARY)
})

test('a registry that is down is said to be, with the way around it', async () => {
  const desk = createDesk()
  desk.bench.registry.mood = 'down'
  const answer = await desk.ask.put(credential).send({ username: 'ci', password: CANARY }).expect(502)
  assert.match(answer.body.detail, /--no-verify/)
})

test('what is no longer listed can be forgotten, in any spelling of its name', async () => {
  const { ask, bench } = createDesk()
  await bench.keychain.update('gone.example', () => sample('gone.example', 'old'))
  await ask.put('/v1/registries/gone.example/credential').send({ username: 'ci', password: 'old' }).expect(404)
  await ask.delete('/v1/registries/Gone.Example%3A443/credential').expect(204)
  assert.equal(await bench.keychain.get('gone.example'), undefined)
})

test('a logout removes the credential; a second one finds none', async () => {
  const desk = createDesk()
  await logIn(desk)
  await desk.ask.delete(credential).expect(204)
  const answer = await desk.ask.delete(credential).expect(404)
  assert.equal(answer.body.code, 'CREDENTIAL_NOT_FOUND')
  await desk.ask
    .put(`/v1/registries/unlisted.example/credential`)
    .send({})
    .expect(404, /REGISTRY_UNLISTED/)
})

test('every problem of a body is told at once, by its path, and never by its value', async () => {
  const desk = createDesk()
  const body = { username: `a:${CANARY}`, password: `${CANARY}\n`, email: 7, verify: CANARY, [CANARY]: CANARY }
  const answer = desk.heard(await desk.ask.put(credential).send(body).expect(422))
  assert.equal(answer.body.code, 'BODY_INVALID')
  const paths = answer.body.errors.map((error: { path: string }) => error.path)
  assert.deepEqual(paths.sort(), ['', 'email', 'password', 'username', 'verify'])
  assert.match(answer.body.detail, /not one of: username, password, email, expiresAt, verify/)
  desk.assertSilent(CANARY)
})

test('usernames and passwords that Basic authentication cannot carry are refused', async () => {
  const { ask } = createDesk()
  const good = { username: 'ci', password: 'old' }
  for (const [field, value] of [
    ['username', ''],
    ['username', 'a:b'],
    ['username', 'a\tb'],
    ['username', 'a\u007fb'],
    ['username', 'a\u0085b'],
    ['username', 'x'.repeat(256)],
    ['username', 'a\ud800'],
    ['password', ''],
    ['password', 'a\0b'],
    ['password', 'a\rb'],
    ['password', 'a\n'],
    ['password', '\udc00'],
    ['password', null],
    ['password', ['old']],
    ['email', ''],
    ['email', 'a\nb'],
    ['verify', 'true'],
  ] as const) {
    const answer = await ask
      .put(credential)
      .send(JSON.stringify({ ...good, [field]: value }))
      .type('json')
      .expect(422)
    assert.deepEqual(
      answer.body.errors.map((error: { path: string }) => error.path),
      [field],
      JSON.stringify(value),
    )
  }
  const spicy = { username: 'robot$team+ci', password: ' ü¬:"\\\t ', verify: false }
  await ask.put(credential).send(spicy).expect(200)
})

test('an unknown key is refused, "__proto__" too', async () => {
  const { ask } = createDesk()
  for (const key of ['passwd', '__proto__', 'constructor', '']) {
    const text = `{"username":"ci","password":"old",${JSON.stringify(key)}:{}}`
    const answer = await ask.put(credential).type('json').send(text).expect(422)
    assert.equal(answer.body.code, 'BODY_INVALID', key)
  }
})

test('a key that stands twice is refused, so that nobody reads another password than we do', async () => {
  const desk = createDesk()
  const text = `{"username":"ci","password":"old","pass\\u0077ord":"${'hunter2'}"}`
  const answer = desk.heard(await desk.ask.put(credential).type('json').send(text).expect(400))
  assert.equal(answer.body.code, 'BODY_MALFORMED')
  desk.assertSilent('hunter2')
})

test('a malformed body is refused and no part of it comes back or is logged', async () => {
  const desk = createDesk()
  for (const text of ['', '{', 'hunter2', '{"password":"hunter2"', '{"password":"hunter2"}}', "{password:'hunter2'}"]) {
    const answer = desk.heard(await desk.ask.put(credential).type('json').send(text).expect(400))
    assert.equal(answer.body.code, 'BODY_MALFORMED')
  }
  desk.assertSilent('hunter2')
})

test('no body, however it is made, brings a planted secret into an answer or a log line', async () => {
  const desk = createDesk()
  const planted = fc.oneof(fc.constant('hunter2'), fc.jsonValue())
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom('username', 'password', 'email', 'verify', 'hunter2'), planted),
    fc.array(planted),
    fc.constant('hunter2'),
  )
  const check = fc.asyncProperty(body, fc.nat(3), async (value, cut) => {
    const text = JSON.stringify(value)
    // A username is no secret and may come back.
    fc.pre(!(value instanceof Object && 'username' in value && value['username'] === 'hunter2'))
    desk.heard(
      await desk.ask
        .put(credential)
        .type('json')
        .send(text.slice(0, text.length - cut)),
    )
  })
  await fc.assert(check, { numRuns: 150 })
  desk.assertSilent('hunter2')
})

test('a body must be JSON, by its Content-Type and plainly coded', async () => {
  const { ask } = createDesk()
  const text = '{"username":"ci","password":"old"}'
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json; charset=latin1',
  ]) {
    const answer = await ask.put(credential).set('Content-Type', type).send(text).expect(415)
    assert.equal(answer.body.code, 'MEDIA_TYPE_UNSUPPORTED', type)
  }
  await ask.put(credential).expect(415)
  await ask.put(credential).type('json').set('Content-Encoding', 'gzip').send(text).expect(415)
  for (const type of ['application/json', 'Application/JSON; charset="UTF-8"']) {
    await ask.put(credential).set('Content-Type', type).send(text).expect(200)
  }
})

test('a body may have 64 KiB and no more, whether it tells its length or not', async (context) => {
  const { ask, app } = createDesk()
  const bodyOf = (size: number) => {
    const empty = JSON.stringify({ username: 'ci', password: '', verify: false })
    return empty.replace('""', `"${'x'.repeat(size - empty.length)}"`)
  }
  await ask.put(credential).type('json').send(bodyOf(65_536)).expect(200)
  for (const size of [65_537, 400_000, 3_000_000]) {
    const answer = await ask.put(credential).type('json').send(bodyOf(size)).expect(413)
    assert.equal(answer.body.code, 'BODY_TOO_LARGE')
  }
  const server = app.listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const chunked = await fetch(`http://127.0.0.1:${port}${credential}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: new Blob([bodyOf(70_000)]).stream(),
    duplex: 'half',
  })
  assert.equal(chunked.status, 413)
  await chunked.text()
})

test('a claimed name that does not fit into a line of the audit is refused', async () => {
  const { ask, bench } = createDesk()
  for (const name of ['x'.repeat(65), 'jö']) {
    const answer = await ask.delete(credential).set('Regcredd-Actor', name).expect(400)
    assert.equal(answer.body.code, 'PARAMETER_INVALID')
  }
  assert.deepEqual(bench.acts, [])
})

test('when the audit cannot be written, a login is refused and nothing is stored', async () => {
  const { RegcreddError } = await import('../../src/errors.ts')
  const onAct = () => {
    throw new RegcreddError('AUDIT_UNAVAILABLE')
  }
  const desk = createDesk({ rotation: { onAct } })
  const answer = await desk.ask.put(`/v1/registries/${OTHER}/credential`).send({ username: 'ci', password: 'old' })
  assert.deepEqual([answer.status, answer.body.code], [503, 'AUDIT_UNAVAILABLE'])
  assert.deepEqual(await desk.bench.keychain.keys(), [])
})
