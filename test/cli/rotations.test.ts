import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type FakeAdmin, problem, startFakeAdmin } from './fake-admin.ts'
import { type Outcome, type RunOptions, run } from './regcredd.ts'

const inTenMinutes = new Date(Date.now() + 600_000).toISOString()
const rotation = (state: string, more: object = {}) => ({
  id: 'r-1',
  host: 'reg.example.com',
  state,
  version: 'v2',
  deadline: inTenMinutes,
  startedAt: '2026-11-24T09:00:00Z',
  endedAt: state === 'STAGED' ? null : '2026-11-24T09:00:05Z',
  code: null,
  mirror: [],
  ...more,
})
const mirrored = rotation('MIRRORED', {
  mirror: [
    { namespace: 'default', secretName: 'regcred', outcome: 'updated', detail: null },
    { namespace: 'team-a', secretName: 'regcred', outcome: 'foreign', detail: 'not made by regcredd' },
  ],
})

describe('rotate and rotation', () => {
  let admin: FakeAdmin
  before(async () => {
    admin = await startFakeAdmin()
  })
  after(() => admin.close())
  beforeEach(() => {
    admin.seen = []
    admin.routes = {
      'POST /v1/registries/reg.example.com/rotations': () => ({ status: 202, body: rotation('STAGED') }),
    }
  })
  const regcredd = (args: string[], options?: RunOptions): Promise<Outcome> =>
    run(args, { ...options, env: { REGCREDD_SOCKET: admin.socket } })
  const answers = (bodies: object[]) => () => ({ body: bodies.length > 1 ? bodies.shift() : bodies[0] })
  const rotate = ['rotate', 'reg.example.com', '--password-stdin']

  test('a rotation is followed through its states until its Secrets are written', async () => {
    admin.routes['GET /v1/rotations/r-1'] = answers([rotation('STAGED'), rotation('COMMITTED'), mirrored])
    const { code, stdout, stderr } = await regcredd(rotate, { stdin: 'hunter2\n' })
    assert.equal(code, 0)
    assert.deepEqual(admin.seen[0]?.body, { password: 'hunter2' })
    assert.deepEqual(
      stderr
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ')[0]),
      ['rotation', 'STAGED', 'COMMITTED', 'MIRRORED'],
    )
    assert.match(stdout, /^state +MIRRORED$/m)
    assert.match(stdout, /^team-a +regcred +foreign +not made by regcredd$/m)
    assert.ok(!`${stdout}${stderr}`.includes('hunter2'))
  })

  test('a daemon that restarts in mid-rotation is asked again', async () => {
    let asked = 0
    admin.routes['GET /v1/rotations/r-1'] = () => (asked++ < 2 ? { hangUp: true } : { body: mirrored })
    const { code, stdout } = await regcredd(rotate, { stdin: 'x' })
    assert.deepEqual([code, asked], [0, 3])
    assert.match(stdout, /MIRRORED/)
  })

  test('an aborted rotation ends with 1 and says that the old password stays', async () => {
    admin.routes['GET /v1/rotations/r-1'] = answers([rotation('ABORTED', { code: 'CREDENTIAL_REFUSED' })])
    const { code, stdout, stderr } = await regcredd([...rotate, '--json'], { stdin: 'x' })
    assert.deepEqual([code, JSON.parse(stdout).code], [1, 'CREDENTIAL_REFUSED'])
    assert.match(stderr, /v2 is dropped \(CREDENTIAL_REFUSED\); the password before it stays in force/)
  })

  test('everything that was asked for reaches the daemon, and --no-wait asks no further', async () => {
    const args = ['--username', 'ci2', '--email', 'a@b', '--deadline', '30', '--idempotency-key', 'k-1', '--no-wait']
    const { code, stdout } = await regcredd([...rotate, ...args], { stdin: 'x' })
    assert.equal(code, 0)
    assert.equal(admin.seen.length, 1)
    assert.deepEqual(admin.seen[0]?.body, { username: 'ci2', password: 'x', email: 'a@b', deadlineSeconds: 30 })
    assert.equal(admin.seen[0]?.headers['idempotency-key'], 'k-1')
    assert.match(stdout, /^deadline +2/m)
  })

  test('a daemon that answers with an error once the rotation runs is not taken for a success', async () => {
    admin.routes['GET /v1/rotations/r-1'] = () => problem(503, 'KEYCHAIN_LOCKED', 'the keychain is locked')
    const { code, stderr } = await regcredd(rotate, { stdin: 'x' })
    assert.equal(code, 1)
    assert.match(stderr, /KEYCHAIN_LOCKED: docs\/errors\.md#keychain_locked/)
  })

  for (const [option, value] of [
    ['--deadline', '86401'],
    ['--deadline', '1.5'],
    ['--deadline', '-1'],
    ['--idempotency-key', 'a b'],
  ] as const) {
    test(`rotate ${option} ${value} is refused with 64`, async () => {
      const { code } = await regcredd([...rotate, option, value], { stdin: 'x' })
      assert.deepEqual([code, admin.seen], [64, []])
    })
  }

  test('rotation get shows a rotation, and its id cannot leave its place in the path', async () => {
    admin.routes = { 'GET /v1/rotations/..%2Fstatus%3Fx': () => ({ body: rotation('COMMITTED') }) }
    const { code, stdout } = await regcredd(['rotation', 'get', '../status?x'])
    assert.equal(code, 0)
    assert.match(stdout, /^ended +2026-11-24T09:00:05Z$/m)
  })

  test('rotation abort of one that has ended is an error of the daemon', async () => {
    admin.routes = {
      'POST /v1/rotations/r-1/abort': () => problem(409, 'ROTATION_SETTLED', 'this rotation has already ended'),
    }
    const { code, stderr } = await regcredd(['rotation', 'abort', 'r-1'])
    assert.equal(code, 1)
    assert.match(stderr, /already ended/)
  })
})
