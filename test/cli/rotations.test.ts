import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type FakeAdmin, problem, startFakeAdmin } from './fake-admin.ts'
import { type Outcome, type RunOptions, run } from './regcredd.ts'

const inTenMinutes = new Date(Date.now() + 600_000).toISOString()
const WAY = ['STAGED', 'APPLIED', 'VERIFIED', 'COMMITTED', 'MIRRORED', 'GRACE']
/** The states up to this one; ABORTED and STUCK come after STAGED. */
const stepsTo = (state: string) =>
  [...(WAY.includes(state) ? WAY.slice(0, WAY.indexOf(state) + 1) : ['STAGED', state])].map((one) => ({
    state: one,
    at: '2026-11-24T09:00:01Z',
  }))
const rotation = (state: string, more: object = {}) => ({
  id: 'r-1',
  host: 'reg.example.com',
  state,
  version: 'v2',
  deadline: inTenMinutes,
  startedAt: '2026-11-24T09:00:00Z',
  endedAt: state === 'STAGED' ? null : '2026-11-24T09:00:05Z',
  graceEndsAt: WAY.indexOf(state) > 2 ? '2026-11-25T09:00:05Z' : null,
  rollbackOf: null,
  way: 'provided',
  code: null,
  note: null,
  steps: stepsTo(state),
  mirror: [],
  ...more,
})
const mirrored = rotation('GRACE', {
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
      ['rotation', ...WAY],
    )
    assert.match(stdout, /^state +GRACE$/m)
    assert.match(stdout, /^team-a +regcred +foreign +not made by regcredd$/m)
    assert.ok(!`${stdout}${stderr}`.includes('hunter2'))
  })

  test('a daemon that restarts in mid-rotation is asked again', async () => {
    let asked = 0
    admin.routes['GET /v1/rotations/r-1'] = () => (asked++ < 2 ? { hangUp: true } : { body: mirrored })
    const { code, stdout } = await regcredd(rotate, { stdin: 'x' })
    assert.deepEqual([code, asked], [0, 3])
    assert.match(stdout, /GRACE/)
  })

  test('each state is told as the stream of the daemon tells it; one that breaks off is asked for again', async () => {
    const event = (name: string, body: object) => `event: ${name}\ndata: ${JSON.stringify(body)}\n\n`
    const streams = [
      `:\n\n${event('state', rotation('STAGED'))}`,
      event('state', rotation('APPLIED')) + event('end', mirrored),
    ]
    admin.routes['GET /v1/rotations/r-1'] = () => ({ text: streams.shift() ?? '', type: 'text/event-stream' })
    const { code, stdout, stderr } = await regcredd(rotate, { stdin: 'x' })
    assert.deepEqual([code, admin.seen.length], [0, 3])
    assert.match(admin.seen[1]?.headers.accept ?? '', /^text\/event-stream/)
    for (const state of WAY) assert.match(stderr, new RegExp(`^${state} `, 'm'))
    assert.match(stdout, /GRACE/)
  })

  test('where too many follow, the state is asked for', async () => {
    const busy = problem(503, 'TOO_MANY_STREAMS', 'as many event streams are open as there may be')
    const bodies = [rotation('APPLIED'), mirrored]
    admin.routes['GET /v1/rotations/r-1'] = ({ headers }) =>
      headers.accept === 'application/json' ? { body: bodies.shift() } : busy
    const { code, stderr } = await regcredd(rotate, { stdin: 'x' })
    assert.equal(code, 0)
    assert.match(stderr, /^APPLIED .*\n/m)
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
    assert.match(stdout, /^committed +2026-11-24T09:00:01Z$/m)
  })

  test('rotation abort of one that has ended is an error of the daemon', async () => {
    admin.routes = {
      'POST /v1/rotations/r-1/abort': () => problem(409, 'ROTATION_SETTLED', 'this rotation has already ended'),
    }
    const { code, stderr } = await regcredd(['rotation', 'abort', 'r-1'])
    assert.equal(code, 1)
    assert.match(stderr, /already ended/)
  })

  test('a rotation that is stuck ends with 2 and says that nothing is lost', async () => {
    admin.routes['GET /v1/rotations/r-1'] = answers([rotation('STUCK', { code: 'NO_VERSION_WORKS' })])
    const { code, stderr } = await regcredd(rotate, { stdin: 'x' })
    assert.equal(code, 2)
    assert.match(stderr, /^STUCK .*\(NO_VERSION_WORKS\); all are kept/m)
  })

  test('a rotation whose end does not come in the time that was waited ends with 75', async () => {
    const late = { deadline: new Date(Date.now() - 61_000).toISOString(), note: 'PENDING unreachable (try 3)' }
    admin.routes = {
      'POST /v1/registries/reg.example.com/rotations': () => ({ status: 202, body: rotation('STAGED', late) }),
    }
    const { code, stderr } = await regcredd(rotate, { stdin: 'x' })
    assert.equal(code, 75)
    assert.match(stderr, /PENDING unreachable \(try 3\)[\s\S]*the daemon goes on with it/)
  })

  test('a generated password is asked for in the body, and none is read', async () => {
    const args = ['rotate', 'reg.example.com', '--generate', '--length', '30', '--alphabet', 'hex', '--no-wait']
    const { code } = await regcredd(args)
    assert.equal(code, 0)
    assert.deepEqual(admin.seen[0]?.body, { generate: { length: 30, alphabet: 'hex' } })
    for (const wrong of [
      ['--generate', '--password-stdin'],
      ['--length', '30', '--password-stdin'],
      ['--generate', '--length', '5'],
    ])
      assert.equal((await regcredd(['rotate', 'reg.example.com', ...wrong], { stdin: 'x' })).code, 64, wrong.join())
  })

  test('a dry run needs no password, shows what would be, and ends with 1 where it would be refused', async () => {
    const found = {
      dryRun: true,
      host: 'reg.example.com',
      way: 'generated',
      refusals: [] as object[],
      current: { version: 'v2', username: 'ci', verdict: 'accepted', detail: null },
      forgotten: 'v1',
      hook: { command: '/usr/lib/regcredd/node', timeoutMs: 30_000 },
      canary: 'team/canary',
      deadlineSeconds: 600,
      graceSeconds: 86_400,
      pulls: { count: 42, days: 7 },
      kubernetes: {
        secrets: [{ namespace: 'team-a', secretName: 'regcred', serviceAccounts: ['default'] }],
        nodes: ['node-1'],
      },
    }
    admin.routes = { 'POST /v1/registries/reg.example.com/rotations?dryRun=true': () => ({ body: found }) }
    const dry = ['rotate', 'reg.example.com', '--generate', '--dry-run']
    const { code, stdout } = await regcredd(dry)
    assert.equal(code, 0)
    assert.match(stdout, /^pulls with it +42 in 7 days$/m)
    assert.match(stdout, /^Secrets +team-a\/regcred \(default\)$/m)
    found.refusals = [{ code: 'ROTATION_ACTIVE', detail: 'rotation r-0' }]
    const refused = await regcredd(dry)
    assert.deepEqual([refused.code, /^refused +ROTATION_ACTIVE: rotation r-0$/m.test(refused.stdout)], [1, true])
  })

  test('rotation list, rollback and resolve ask for what they say', async () => {
    const back = rotation('GRACE', { id: 'r-2', way: 'rollback', rollbackOf: 'r-1' })
    admin.routes = {
      'GET /v1/rotations?host=reg.example.com': () => ({ body: { rotations: [rotation('STUCK'), rotation('GRACE')] } }),
      'POST /v1/rotations/r-1/rollback': () => ({ status: 202, body: back }),
      'POST /v1/rotations/r-1/resolve': () => ({ body: rotation('COMMITTED') }),
    }
    const listed = await regcredd(['rotation', 'list', 'REG.example.com:443'])
    assert.equal(listed.stdout.trimEnd().split('\n').length, 3)
    const rolled = await regcredd(['rotation', 'rollback', 'r-1', '--deadline', '30'])
    assert.deepEqual([rolled.code, admin.seen.at(-1)?.body], [0, { deadlineSeconds: 30 }])
    assert.match(rolled.stdout, /^password +rollback of r-1$/m)
    const resolved = await regcredd(['rotation', 'resolve', 'r-1', 'v2'])
    assert.deepEqual([resolved.code, admin.seen.at(-1)?.body], [0, { version: 'v2' }])
  })

  test('rotation show --follow waits as rotate does', async () => {
    admin.routes = {
      'GET /v1/rotations/r-1': answers([rotation('STAGED'), rotation('ABORTED', { code: 'HOOK_FAILED' })]),
    }
    const { code, stderr } = await regcredd(['rotation', 'show', 'r-1', '--follow'])
    assert.equal(code, 1)
    assert.match(stderr, /^STAGED[\s\S]*^ABORTED.*HOOK_FAILED/m)
  })
})
