import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed, startTestProxy, type TestProxy } from '../helpers/proxy.ts'

const NAME = 'registry.corp.example'
const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`

describe('callers with a pull secret', () => {
  let registry: FakeRegistry
  let proxy: TestProxy
  before(async () => {
    registry = await startFakeRegistry({ auth: 'basic', password: 'current' })
    registry.addManifest('team/app', '1', { schemaVersion: 2 })
  })
  beforeEach(async () => {
    await proxy?.close(0)
    proxy = await startTestProxy(
      [
        listed(NAME, registry.origin, { callers: 'pull-secret' }),
        listed('open.example', registry.origin, { repositories: ['team/*'] }),
      ],
      { mode: 'open' },
    )
    proxy.setCredential(NAME, { current: 'current', pending: 'pending', previous: 'previous' })
    proxy.setCredential('open.example', { current: 'current' })
    registry.requests.length = 0
  })
  after(async () => {
    await proxy?.close(0)
    await registry?.close()
  })
  const basic = (login: string) => ({ authorization: `Basic ${Buffer.from(login).toString('base64')}` })
  const codeOf = (body: Buffer): string => JSON.parse(body.toString()).errors[0].detail.code

  test('a pull without one is asked for it, and nothing is sent to the registry', async () => {
    const got = await proxy.get(MANIFEST)
    assert.deepEqual([got.status, codeOf(got.body)], [401, 'PULL_SECRET_REQUIRED'])
    assert.equal(got.headers['www-authenticate'], 'Basic realm="regcredd"')
    assert.equal(registry.requests.length, 0)
    assert.equal(proxy.begun.length, 0)
  })

  for (const label of ['current', 'pending', 'previous']) {
    test(`the ${label} version opens, is named as the caller, and is not what goes to the registry`, async () => {
      const got = await proxy.get(MANIFEST, { headers: basic(`ci:${label}`) })
      assert.equal(got.status, 200)
      const { caller } = proxy.begun[0] ?? assert.fail()
      assert.match(caller?.kind === 'pull-secret' ? caller.version : '', /^v\d+$/)
      const sent = registry.requests.flatMap(({ headers }) => headers.authorization ?? [])
      assert.deepEqual(new Set(sent), new Set([basic('ci:current').authorization]))
    })
  }

  for (const [why, headers] of [
    ['a wrong password', basic('ci:wrong')],
    ['a right password of another user', basic('somebody:current')],
    ['a password without a user', basic('current')],
    ['an empty login', basic(':')],
    ['something that is not Basic', { authorization: 'Bearer current' }],
    ['no base64', { authorization: 'Basic ~~~' }],
  ] as const) {
    test(`${why} is a 403 without a second challenge, and nothing is sent to the registry`, async () => {
      const got = await proxy.get(MANIFEST, { headers })
      assert.deepEqual([got.status, codeOf(got.body)], [403, 'PULL_SECRET_WRONG'])
      assert.equal(got.headers['www-authenticate'], undefined)
      assert.equal(registry.requests.length, 0)
    })
  }

  test('without a stored credential no secret opens', async () => {
    proxy.forgetCredential(NAME)
    const got = await proxy.get(MANIFEST, { headers: basic(':') })
    assert.deepEqual([got.status, codeOf(got.body)], [503, 'CREDENTIAL_MISSING'])
  })

  test('a registry of its own mode does not change the others', async () => {
    assert.equal((await proxy.get('/v2/team/app/manifests/1?ns=open.example')).status, 200)
  })
})
