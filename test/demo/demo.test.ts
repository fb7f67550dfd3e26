import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import { eventually } from '../helpers/eventually.ts'
import { mountsIn, processesOf } from './left-behind.ts'

const demoPath = join(import.meta.dirname, 'demo.ts')
const run = promisify(execFile)

// Everything that the demo writes and starts lies in here, so that what it leaves can be told.
let folder: string

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'demo-test-')))
})

afterEach(async () => {
  for (const pid of await processesOf(folder)) process.kill(pid, 'SIGKILL') // of a test that failed
  await rm(folder, { recursive: true, force: true })
})

test('the demo shows the main job from end to end, ends with 0 and leaves nothing behind', async () => {
  const demo = startDemo([])
  assert.equal(await demo.code(), 0, demo.said())
  for (const line of [
    /✓ +\d+\.\d s {2}pushed registry\.corp\.example\/team\/app:1/,
    /^ +sha256:[0-9a-f]{64}$/m,
    /✓ .* is refused, and .* says:\n.*\b401\b/,
    /\$ regcredd login registry\.corp\.example --username ci --password-stdin/,
    /✓ .* pulls it by .*: the digest that was pushed/,
    /\$ curl -sS --unix-socket admin\.sock /,
    /✓ .* v2 is in force/,
    /✓ .* \d+ pulls by .* 0 failed/,
    /✓ .* v3 is ABORTED, CREDENTIAL_REFUSED/,
    /caller by token +pull team\/app:1 +v1 +200 /,
    /caller by token +pull team\/app:1 +v2 +200 /,
    /✓ .* a login on node-1; node-2 pulls with it \d+\.\d s later/,
    /✓ .* a rotation on node-2, .*: all three Secrets hold it \d+\.\d s later/,
    /✓ .* both nodes hold it; node-\d leads/,
    /✓ .* \d+ pulls on the two nodes meanwhile: 0 failed/,
    /falls to the registry itself.*\n.*manifests\/1\S* .*401/,
    /^All \d+ steps held, in \d+\.\d s/m,
  ]) {
    assert.match(demo.said(), line)
  }
  if (process.env['CI'] === 'true') assert.doesNotMatch(demo.said(), /stands in|as there is no|no Kubernetes API/)
  assert.doesNotMatch(demo.said(), /\u001b/, 'colour without a terminal')
  assert.doesNotMatch(demo.said(), /(?:spring|summer|typo)-[\w-]{16}/, 'a password is shown')
  await assertNothingLeft()
})

test('an interrupt in the midst of it stops all that runs, and ends with 130', async () => {
  const demo = startDemo([])
  await eventually('the daemon runs', () => demo.said().includes('regcredd serves pulls'), 120_000)
  assert.notDeepEqual(await processesOf(folder), [])
  demo.child.kill('SIGINT')
  demo.child.kill('SIGINT') // npm passes on what the terminal has sent already
  assert.equal(await demo.code(), 130, demo.said())
  assert.match(demo.said(), /Interrupted/)
  await assertNothingLeft()
})

test('where the process that shows it is killed, what it started ends too', async () => {
  const demo = startDemo(['--keep'])
  await eventually('the daemon runs', () => demo.said().includes('regcredd serves pulls'), 120_000)
  demo.child.kill('SIGKILL')
  await eventually('all is gone', async () => (await processesOf(folder)).length === 0, 60_000)
  await assertNothingLeft()
})

test('with --keep it goes on running, can be pulled from, and ends by the command that it names', async () => {
  const demo = startDemo(['--keep'])
  assert.equal(await demo.code(), 0, demo.said())
  const stop = /^ +(\S+\/bin\/stop)$/m.exec(demo.said())?.[1] ?? ''
  const command = (name: string) => stop.replace(/stop$/, name)
  const pushed = /sha256:[0-9a-f]{64}/.exec(demo.said())?.[0]
  assert.ok((await run(command('pull-image'))).stdout.includes(`registry.corp.example/team/app:1 ${pushed} in `))
  assert.match((await run(command('regcredd'), ['status'])).stdout, /^ready$/m)
  assert.equal((await run(stop)).stdout, 'stopped and removed\n')
  await eventually('all is gone', async () => (await processesOf(folder)).length === 0, 60_000)
  await assertNothingLeft()
})

test('without any real part the demo says what stands in, and shows the same', async () => {
  const demo = startDemo([], { CI: '', REGCREDD_CACHE: join(folder, 'no-cache') })
  assert.equal(await demo.code(), 0, demo.said())
  for (const part of ['docker-registry', 'containerd', 'gnome-keyring']) {
    assert.match(demo.said(), new RegExp(`– .* stands in for ${part} \\(`))
  }
  assert.match(demo.said(), /– .*no Kubernetes API is at hand/)
  await assertNothingLeft()
})

test('in CI nothing stands in for a real part: the demo fails', async () => {
  const demo = startDemo([], { CI: 'true', REGCREDD_CACHE: join(folder, 'no-cache') })
  assert.equal(await demo.code(), 1)
  assert.match(demo.said(), /CI skips nothing/)
  await assertNothingLeft()
})

test('an unknown option is refused with the usage', async () => {
  const demo = startDemo(['--kep'])
  assert.equal(await demo.code(), 64)
  assert.match(demo.said(), /'--kep'.*npm run demo \[-- OPTIONS\]/s)
})

async function assertNothingLeft(): Promise<void> {
  assert.deepEqual(await processesOf(folder), [])
  assert.deepEqual(await mountsIn(folder), [])
  assert.deepEqual(await readdir(folder), [])
}

function startDemo(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child: ChildProcess = spawn(process.execPath, ['--disable-warning=DEP0060', demoPath, ...args], {
    env: { ...process.env, TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 280_000,
  })
  const closed = once(child, 'close')
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += chunk))
  return { child, said: () => said, code: async () => (await closed)[0] as number | null }
}
