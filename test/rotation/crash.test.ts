import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'

const child = join(import.meta.dirname, 'crash-child.ts')

function runChild(folder: string, mode: 'run' | 'resume', at: number): Promise<{ signal: string; stdout: string }> {
  return new Promise((resolve, reject) => {
    const options = { timeout: 20_000 }
    execFile(process.execPath, [child, folder, mode, String(at)], options, (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(stderr))
      else resolve({ signal: error?.signal ?? '', stdout })
    })
  })
}

async function newFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-crash-'))
  context.after(() => rm(folder, { recursive: true }))
  return folder
}

async function pointsOf(folder: string): Promise<string[]> {
  return (await readFile(join(folder, 'points'), 'utf8')).trim().split('\n')
}

test('a rotation whose process is killed at any point is brought to its end by the next one', async (context) => {
  const calm = await newFolder(context)
  assert.equal((await runChild(calm, 'run', 0)).signal, '')
  const points = await pointsOf(calm)
  const kinds = new Set(points.map((point) => point.replace(/^(before|after) /, '')))
  for (const kind of ['a write to the keychain', 'asking the registry', 'mirroring', 'rotation.commit intent']) {
    assert.ok(kinds.has(kind), `no point ${kind} among ${points}`)
  }

  let committed = 0
  for (const [index, point] of points.entries()) {
    await context.test(`killed ${point} (${index + 1} of ${points.length})`, async (inner) => {
      const folder = await newFolder(inner)
      assert.equal((await runChild(folder, 'run', index + 1)).signal, 'SIGKILL')
      const lastSeq = Number(await readFile(join(folder, 'seq'), 'utf8').catch(() => '0'))
      const report = JSON.parse((await runChild(folder, 'resume', 0)).stdout)

      assert.ok((report.found ?? 0) >= lastSeq, 'an acknowledged write was lost')
      assert.ok((report.seq ?? 0) >= (report.found ?? 0), 'seq shrank')
      if (report.found === undefined) return
      assert.equal(report.works, true, 'no stored version works at the registry')
      assert.equal(report.current, report.registry, 'the current version does not work at the registry')
      if (report.state === undefined) return
      assert.deepEqual([report.state, report.current, report.mirrored], ['GRACE', 'new', 'new'])
      committed += 1
    })
  }
  assert.ok(committed >= 8, `only ${committed} points lay within the rotation`)
})
