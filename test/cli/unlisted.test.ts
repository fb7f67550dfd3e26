import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type FakeAdmin, startFakeAdmin } from './fake-admin.ts'
import { run } from './regcredd.ts'

const credential = { username: 'ci', version: 'v1', seq: 1, createdAt: '2026-01-02T03:04:05.678Z', pending: false }
const gone = { host: 'gone.example', upstream: null, credential, mode: null, listed: false }

describe('regcredd list', () => {
  let admin: FakeAdmin
  before(async () => {
    admin = await startFakeAdmin()
  })
  after(() => admin.close())

  const list = (...args: string[]) => run(['list', ...args], { env: { REGCREDD_SOCKET: admin.socket } })

  test('shows a credential whose registry is no longer listed as that', async () => {
    admin.routes['GET /v1/registries'] = () => ({ body: { registries: [gone], complete: true } })
    const { stdout, stderr } = await list()
    assert.match(stdout, /^gone\.example +ci +v1 +2026-01-02T03:04:05\.678Z +unlisted +-$/m)
    assert.equal(stderr, '')
    assert.deepEqual(JSON.parse((await list('--json')).stdout).registries, [gone])
  })

  test('says when the keychain could not be read for them', async () => {
    admin.routes['GET /v1/registries'] = () => ({ body: { registries: [], complete: false } })
    assert.match((await list()).stderr, /the keychain cannot be read now/)
  })
})
