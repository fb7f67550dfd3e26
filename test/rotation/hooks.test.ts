import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runHook } from '../../src/rotation/hook.ts'
import type { Hook, HookInput } from '../../src/rotation/ports.ts'
import { Secret } from '../../src/secret.ts'
import { root } from '../design/project.ts'
import { type DeployToken, startFakeGitlab, startFakeHarbor } from './fake-apis.ts'

const NEW = 'Fresh0Password0of0the0daemon'
const signal = new AbortController().signal
const input = (more: Partial<HookInput> = {}): HookInput => ({
  action: 'apply',
  registry: 'harbor.corp.example/team',
  rotation: 'r-2',
  username: 'robot$team+ci',
  email: undefined,
  oldUsername: 'robot$team+ci',
  oldSecret: new Secret('Old0Password'),
  newSecret: new Secret(NEW),
  madeBy: undefined,
  ...more,
})

async function secretFile(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-hooks-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'secret'), `${text}\n`, { mode: 0o600 })
  return join(folder, 'secret')
}

const hook = (name: string, ...args: string[]): Hook => ({
  command: [process.execPath, join(root, 'hooks', name), ...args],
  timeoutMs: 20_000,
})

async function harbor(t: TestContext, login = 'admin:Harbor12345') {
  const fake = await startFakeHarbor({ name: 'robot$team+ci', secret: 'Old0Password' })
  t.after(() => fake.close())
  const file = await secretFile(t, login)
  return { ...fake, hook: hook('harbor-robot.mjs', '--url', fake.url, '--robot', '12', '--login-file', file) }
}

test('the Harbor hook sets the new password of the robot, and has nothing to do when the old one goes', async (t) => {
  const { hook, robot, asked } = await harbor(t)
  assert.equal((await runHook(hook, input(), signal)).outcome, 'done')
  assert.equal(robot.secret, NEW)
  const before = asked.length
  assert.equal((await runHook(hook, input({ action: 'retire' }), signal)).outcome, 'done')
  assert.equal(asked.length, before)
})

test('the Harbor hook does not touch a robot with another name', async (t) => {
  const { hook, robot } = await harbor(t)
  const end = await runHook(hook, input({ username: 'robot$other' }), signal)
  assert.deepEqual([end.outcome, end.note], ['refused', 'the hook ended with 77: robot 12 has another name'])
  assert.equal(robot.secret, 'Old0Password')
})

test('the Harbor hook says what it knows: refused, to be tried again, or unknown where the change may have been made', async (t) => {
  const { hook, mood, robot } = await harbor(t)
  mood.status = 503
  assert.equal((await runHook(hook, input(), signal)).outcome, 'retry')
  mood.status = 403
  assert.equal((await runHook(hook, input(), signal)).outcome, 'refused')
  delete mood.status
  mood.hangUpAfterChange = true
  assert.partialDeepStrictEqual(await runHook(hook, input(), signal), { outcome: 'unknown', isInFlight: false })
  assert.equal(robot.secret, NEW)
  const wrong = await harbor(t, 'admin:wrong')
  assert.equal((await runHook(wrong.hook, input(), signal)).outcome, 'refused')
})

async function gitlab(t: TestContext, ...args: string[]) {
  const byHand: DeployToken = {
    id: 7,
    name: 'by hand',
    username: 'gitlab+deploy-token-7',
    token: 'gldt-7',
    expires_at: null,
  }
  const fake = await startFakeGitlab([byHand])
  t.after(() => fake.close())
  const file = await secretFile(t, 'glpat-x')
  const options = ['--url', fake.url, '--project', '42', '--token-file', file, ...args]
  return { ...fake, hook: hook('gitlab-deploy-token.mjs', ...options) }
}

test('the GitLab hook makes a token and tells it, with its name and its end', async (t) => {
  const { hook, tokens, asked } = await gitlab(t, '--days', '90')
  const end = await runHook(hook, input(), signal)
  assert.ok(end.outcome === 'done' && end.made !== undefined, JSON.stringify(end))
  const made = tokens.find(({ name }) => name === 'regcredd r-2')
  assert.deepEqual([end.made.secret.reveal(), end.made.username], [made?.token, made?.username])
  const days = (Date.parse(end.made.expiresAt ?? '') - Date.now()) / 86_400_000
  assert.ok(days > 89.9 && days < 90.1)
  assert.deepEqual(JSON.parse(asked.find(({ method }) => method === 'POST')?.body ?? '').scopes, ['read_registry'])
})

test('the GitLab hook run twice for one rotation leaves one token, and ends in the end only what it has made', async (t) => {
  const { hook, tokens } = await gitlab(t)
  await runHook(hook, input({ rotation: 'r-1' }), signal)
  await runHook(hook, input(), signal)
  await runHook(hook, input(), signal)
  assert.deepEqual(
    tokens.map(({ name }) => name),
    ['by hand', 'regcredd r-1', 'regcredd r-2'],
  )
  const end = await runHook(hook, input({ action: 'retire', madeBy: 'r-1' }), signal)
  assert.equal(end.outcome, 'done')
  assert.deepEqual(
    tokens.map(({ name }) => name),
    ['by hand', 'regcredd r-2'],
  )
})

test('a hook whose own secret cannot be read, or whose registry is away, changes nothing and says so', async () => {
  const missing = hook(
    'gitlab-deploy-token.mjs',
    '--url',
    'http://127.0.0.1:9',
    '--project',
    '42',
    '--token-file',
    '/no/such/file',
  )
  const end = await runHook(missing, input(), signal)
  assert.deepEqual([end.outcome, end.note], ['refused', 'the hook ended with 77: /no/such/file cannot be read: ENOENT'])
  const away = hook('harbor-robot.mjs', '--url', 'http://127.0.0.1:9', '--robot', '12', '--login-file', '/dev/null')
  assert.equal((await runHook(away, input(), signal)).outcome, 'retry')
})

for (const [args, note] of [
  [['--urll', 'https://x'], 'an option that it does not know, or one without its value'],
  [
    ['--url', 'https://x', '--project', '1', '--token-file', '/dev/null', '--days', 'many'],
    '--days must be a whole number',
  ],
  [['--url', 'x', '--project', '1', '--token-file', '/dev/null'], '--url is no URL'],
] as const) {
  test(`a hook that is configured with "${args.join(' ')}" changes nothing and says what is wrong`, async () => {
    const end = await runHook(hook('gitlab-deploy-token.mjs', ...args), input(), signal)
    assert.deepEqual([end.outcome, end.note], ['refused', `the hook ended with 77: ${note}`])
  })
}
