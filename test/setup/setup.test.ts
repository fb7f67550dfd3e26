import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'

type Part = { name: string; missing?: string; version?: string; added?: boolean }
type Run = { code: number; stdout: string; stderr: string }

test('a second set-up adds nothing and names each part with its version', async () => {
  const { stdout } = await setUp(['demo', '--json'])
  const { parts } = JSON.parse(stdout) as { parts: Part[] }
  assert.ok(parts.length > 10)
  assert.deepEqual(
    parts.filter((part) => part.added),
    [],
  )
  for (const part of parts) assert.ok(part.missing || part.version, part.name)
})

test('an unknown mode or option is refused with the usage', async () => {
  for (const args of [[], ['tests'], ['test', '--jsno']]) {
    const { code, stderr } = await setUp(args)
    assert.equal(code, 64)
    assert.match(stderr, /^usage: node test\/setup\.mjs/)
  }
})

test('a part that cannot be had is named and passed over, but in CI it is an error', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'regcredd-setup-'))
  try {
    // With nothing on PATH the machine looks like one that is not Debian.
    const bare = { PATH: cache, REGCREDD_CACHE: cache, KUBEBUILDER_ASSETS: '' }
    const laptop = await setUp(['demo'], { ...bare, CI: '' })
    assert.equal(laptop.code, 0, laptop.stderr)
    assert.match(laptop.stdout, /^containerd +MISSING +not on PATH/m)
    assert.match(await readFile(join(cache, 'tools.json'), 'utf8'), /"containerd",\s*"missing": "not on PATH/)
    const ci = await setUp(['demo'], { ...bare, CI: 'true' })
    assert.equal(ci.code, 1)
    assert.match(ci.stdout, /CI=true: nothing may be skipped/)
  } finally {
    await rm(cache, { recursive: true })
  }
})

test('the lock of a set-up that has not put its number into it yet is not taken for that of a dead one', async (t) => {
  const { lock, waiting, ended } = await startLocking(t, '')
  await waiting
  assert.ok(existsSync(lock))
  await rm(lock)
  assert.equal(await ended, 0)
})

test('the lock of a set-up that was killed is removed', async (t) => {
  const { ended } = await startLocking(t, '4194305') // beyond Linux's highest number of a process
  assert.equal(await ended, 0)
})

/** A process that takes the set-up's lock, where one with this content lies already. */
async function startLocking(t: TestContext, content: string) {
  const cache = await mkdtemp(join(tmpdir(), 'regcredd-setup-'))
  t.after(() => rm(cache, { recursive: true }))
  const lock = join(cache, 'setup.lock')
  await writeFile(lock, content)
  const script = `import { withLock } from '${join(import.meta.dirname, 'machine.mjs')}'\nawait withLock(() => {})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, REGCREDD_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close').then(([code]) => code)
  return { lock, waiting: once(child.stdout, 'data'), ended }
}

function setUp(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const script = join(import.meta.dirname, '../setup.mjs')
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr })
    })
  })
}
