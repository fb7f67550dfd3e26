import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { dockerConfigJson, fromData, type Login, toData } from '../../src/mirror/docker-config-json.ts'
import { Secret } from '../../src/secret.ts'
import { runKubectl } from '../helpers/kube-apiserver.ts'
import { skipWithout } from '../helpers/tools.ts'

const login = (parts: Partial<Login> & { password?: string }): Login => ({
  key: parts.key ?? 'registry.corp.example',
  username: parts.username ?? 'ci',
  secret: new Secret(parts.password ?? 'pass word'),
  email: parts.email,
})

/** What kubectl puts under `.dockerconfigjson`, decoded. */
async function kubectlWrites({ key, username, secret, email }: Login): Promise<string> {
  const server = key === 'docker.io' ? [] : [`--docker-server=${key}`]
  const written = await runKubectl([
    ...['create', 'secret', 'docker-registry', 'regcred', '--dry-run=client', '--output=json', ...server],
    ...[`--docker-username=${username}`, `--docker-password=${secret.reveal()}`],
    ...(email === undefined ? [] : [`--docker-email=${email}`]),
  ])
  return Buffer.from(JSON.parse(written).data['.dockerconfigjson'], 'base64').toString()
}

const skip = skipWithout('kubectl')

for (const one of [
  login({}),
  login({ email: 'ci@corp.example' }),
  login({ email: '' }),
  login({ key: 'docker.io' }),
  login({ key: 'registry.corp.example:5000/team/app' }),
  login({ username: 'robot$team+ci', password: ':a:b:' }),
  login({ password: '<>&"\'\\/\u2028\u2029\t\n\r' }),
  login({ password: 'ключ 🔑', email: '<ci>@corp.example' }),
]) {
  const about = `${one.key}, ${one.username}, ${JSON.stringify(one.secret.reveal())}, ${one.email ?? 'no e-mail'}`
  test(`the content is kubectl's, byte for byte: ${about}`, { skip }, async () => {
    assert.equal(dockerConfigJson([one], undefined).reveal(), await kubectlWrites(one))
  })
}

test('whatever the username, password and e-mail, the decoded content is what kubectl writes', { skip }, async () => {
  // No NUL, which no command line can carry, and nothing empty, which kubectl refuses.
  const word = fc.string({ unit: 'binary', minLength: 1, maxLength: 24 }).filter((text) => !text.includes('\0'))
  const nasty = fc.constantFrom('<>&', '\u2028', '"', ':', '\\', '\u007f', '\u0001', '\b\f', '{}', '$(x)', ' ')
  const text = fc.array(fc.oneof(word, nasty), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''))
  await fc.assert(
    fc.asyncProperty(text, text, fc.option(text, { nil: undefined }), async (username, password, email) => {
      const one = login({ username, password, ...(email === undefined ? {} : { email }) })
      assert.deepEqual(JSON.parse(dockerConfigJson([one], undefined).reveal()), JSON.parse(await kubectlWrites(one)))
    }),
    { numRuns: 25 },
  )
})

test('one Secret holds several registries, in one order whatever order they come in', () => {
  const logins = [login({ key: 'b.example' }), login({ key: 'docker.io' }), login({ key: 'a.example/team' })]
  const content = dockerConfigJson(logins, undefined).reveal()
  assert.deepEqual(Object.keys(JSON.parse(content).auths), [
    'a.example/team',
    'b.example',
    'https://index.docker.io/v1/',
  ])
  assert.equal(dockerConfigJson(logins.toReversed(), undefined).reveal(), content)
})

test('an entry that is kept stays as it was, and one that is no entry is dropped', () => {
  const before = new Secret(
    '{"auths":{"a.example":{"auth":"eDp5","more":1},"b.example":"junk","c.example":{"auth":"not asked for"}}}',
  )
  const kept = { from: before, keys: ['a.example', 'b.example', 'toString'] }
  const { auths } = JSON.parse(dockerConfigJson([login({ key: 'd.example' })], kept).reveal())
  assert.deepEqual(Object.keys(auths), ['a.example', 'd.example'])
  assert.deepEqual(auths['a.example'], { auth: 'eDp5', more: 1 })
})

test('an entry of ours wins over the one that stands in the Secret', () => {
  const kept = { from: new Secret('{"auths":{"a.example":{"auth":"old"}}}'), keys: ['a.example'] }
  const { auths } = JSON.parse(dockerConfigJson([login({ key: 'a.example', password: 'new' })], kept).reveal())
  assert.equal(auths['a.example'].password, 'new')
})

test('content that is no JSON keeps nothing and breaks nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (from) => {
      const content = dockerConfigJson([login({})], { from: new Secret(from), keys: ['a.example'] }).reveal()
      assert.ok(JSON.parse(content).auths['registry.corp.example'])
    }),
  )
})

test('data goes to the API server and comes back unchanged', () => {
  const content = dockerConfigJson([login({ password: 'ключ 🔑' })], undefined)
  assert.ok(fromData(toData(content))?.equals(content))
  assert.equal(fromData({}), undefined)
  assert.equal(fromData(undefined), undefined)
})
