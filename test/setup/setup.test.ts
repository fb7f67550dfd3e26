import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

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

function setUp(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const script = join(import.meta.dirname, '../setup.mjs')
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr })
    })
  })
}
