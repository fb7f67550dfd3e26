import assert from 'node:assert/strict'
import { userInfo } from 'node:os'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type FakeAdmin, problem, startFakeAdmin } from './fake-admin.ts'
import { type Outcome, type RunOptions, run } from './regcredd.ts'

const stored = () => ({ body: { host: 'reg.example.com', username: 'ci', version: 'v1', seq: 1 } })

describe('login, logout and list', () => {
  let admin: FakeAdmin
  before(async () => {
    admin = await startFakeAdmin()
  })
  after(() => admin.close())
  beforeEach(() => {
    admin.seen = []
    admin.routes = {}
  })
  const regcredd = (args: string[], options?: RunOptions): Promise<Outcome> =>
    run([...args, '--socket', admin.socket], options)

  test('login sends what stands on stdin, without its line break, and shows it nowhere', async () => {
    admin.routes = { 'PUT /v1/registries/reg.example.com/credential': stored }
    const args = ['login', 'REG.example.com:443', '--username', 'ci', '--password-stdin', '--email', 'ci@example.com']
    const { code, stdout, stderr } = await regcredd(args, { stdin: 'hunter2 \r\n' })
    assert.deepEqual(admin.seen[0]?.body, {
      username: 'ci',
      password: 'hunter2 ',
      email: 'ci@example.com',
      verify: true,
    })
    assert.equal(admin.seen[0]?.headers['content-type'], 'application/json')
    assert.equal(stdout, 'reg.example.com: ci is stored as v1; the registry accepts it\n')
    assert.deepEqual([code, stderr, stdout.includes('hunter2')], [0, '', false])
  })

  test('login --no-verify tells the daemon and the user that the registry is not asked', async () => {
    admin.routes = { 'PUT /v1/registries/reg.example.com%2Fteam/credential': stored }
    const args = ['login', 'reg.example.com/team', '--username', 'ci', '--password-stdin', '--no-verify']
    const { stdout } = await regcredd(args, { stdin: 'x' })
    assert.deepEqual(admin.seen[0]?.body, { username: 'ci', password: 'x', verify: false })
    assert.match(stdout, /the registry was not asked/)
  })

  test('login --json prints the answer and nothing else', async () => {
    admin.routes = { 'PUT /v1/registries/reg.example.com/credential': stored }
    const { code, stdout } = await regcredd(
      ['login', 'reg.example.com', '--username', 'ci', '--password-stdin', '--json'],
      {
        stdin: 'x',
      },
    )
    assert.deepEqual(JSON.parse(stdout), stored().body)
    assert.equal(code, 0)
  })

  test('a credential that the registry refuses is told with title, detail and code, and ends with 1', async () => {
    const title = 'the registry refused this credential; nothing was stored'
    admin.routes = {
      'PUT /v1/registries/reg.example.com/credential': () =>
        problem(422, 'CREDENTIAL_REFUSED', title, 'it answered 401'),
    }
    const { code, stdout, stderr } = await regcredd(
      ['login', 'reg.example.com', '--username', 'ci', '--password-stdin'],
      {
        stdin: 'x',
      },
    )
    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(
      stderr,
      `regcredd: ${title}\n  it answered 401\n  CREDENTIAL_REFUSED: docs/errors.md#credential_refused\n`,
    )
  })

  test('what the daemon says in full is not said twice', async () => {
    const title = 'the registry cannot be reached'
    admin.routes = {
      'PUT /v1/registries/reg.example.com/credential': () =>
        problem(502, 'UPSTREAM_UNREACHABLE', title, `${title}: nothing listens there; nothing was stored`),
    }
    const { code, stderr } = await regcredd(['login', 'reg.example.com', '--username', 'ci', '--password-stdin'], {
      stdin: 'x',
    })
    assert.equal(code, 1)
    assert.match(stderr, /^regcredd: the registry cannot be reached\n {2}nothing listens there; nothing was stored\n/)
  })

  for (const [what, args, stdin, words] of [
    ['an empty password', ['--username', 'ci', '--password-stdin'], '\n', /the password is empty/],
    ['a password that is no text', ['--username', 'ci', '--password-stdin'], Buffer.from([0xff]), /not UTF-8/],
    ['a password without end', ['--username', 'ci', '--password-stdin'], 'x'.repeat(40_000), /longer than 32 KiB/],
    ['no way to read a password', ['--username', 'ci'], '', /--password-stdin/],
    ['no user', ['--password-stdin'], 'x', /--username/],
    ['--password VALUE', ['--username', 'ci', '--password', 'hunter2'], '', /every process of this machine/],
    ['--password=VALUE', ['--username', 'ci', '--password=hunter2'], '', /every process of this machine/],
    ['-pVALUE', ['--username', 'ci', '-phunter2'], '', /every process of this machine/],
    ['a misspelt --passwort=VALUE', ['--username', 'ci', '--passwort=hunter2'], '', /unknown option '--passwort'\n/],
    ['an unknown -xVALUE', ['--username', 'ci', '-xhunter2'], '', /unknown option '-x'\n/],
    ['a password as one argument more', ['ci', 'hunter2', '--username', 'ci'], '', /too many arguments/],
  ] as const) {
    test(`login with ${what} is refused with words and 64, and asks nobody`, async () => {
      const { code, stdout, stderr } = await regcredd(['login', 'reg.example.com', ...args], { stdin })
      assert.match(stderr, words)
      assert.deepEqual([code, stdout, stderr.includes('hunter2'), admin.seen], [64, '', false, []])
    })
  }

  test('a URL with a password in place of the host is refused and not repeated', async () => {
    const { code, stderr } = await regcredd(['logout', 'https://ci:hunter2@reg.example.com'])
    assert.match(stderr, /HOST must be host\[:port\]/)
    assert.deepEqual([code, stderr.includes('hunter2'), admin.seen], [64, false, []])
  })

  test('the daemon is told who acts, behind sudo too', async () => {
    await regcredd(['logout', 'docker.io'])
    await regcredd(['logout', 'docker.io'], { env: { SUDO_USER: 'ada' } })
    await regcredd(['logout', 'docker.io'], { env: { SUDO_USER: 'ad\na' } })
    const actors = admin.seen.map(({ headers }) => headers['regcredd-actor'])
    assert.deepEqual(actors, [userInfo().username, 'ada', undefined])
  })

  test('logout deletes the credential', async () => {
    admin.routes = { 'DELETE /v1/registries/localhost%3A5000/credential': () => ({ status: 204 }) }
    const { code, stdout } = await regcredd(['logout', 'localhost:5000'])
    assert.deepEqual([code, stdout], [0, 'localhost:5000: the credential is deleted\n'])
  })

  test('list shows a table whose columns line up, without colour in a pipe', async () => {
    const credential = {
      username: 'robot$team',
      version: 'v12',
      seq: 30,
      createdAt: '2026-11-24T09:00:00Z',
      pending: true,
    }
    const upstream = 'https://x'
    admin.routes = {
      'GET /v1/registries': () => ({
        body: {
          registries: [
            { host: 'reg.example.com/team', upstream, credential, mode: 'required' },
            { host: 'docker.io', upstream, credential: null, mode: 'optional' },
            { host: 'ghcr.io', upstream, credential: null, mode: 'required' },
          ],
        },
      }),
    }
    const { code, stdout } = await regcredd(['list'], { env: { FORCE_COLOR: '1' } })
    assert.equal(code, 0)
    assert.equal(
      stdout,
      [
        'REGISTRY              USERNAME    VERSION  SINCE                 STATE      UPSTREAM',
        'reg.example.com/team  robot$team  v12      2026-11-24T09:00:00Z  rotating   https://x',
        'docker.io             -           -        -                     anonymous  https://x',
        'ghcr.io               -           -        -                     missing    https://x',
        '',
      ].join('\n'),
    )
  })
})
