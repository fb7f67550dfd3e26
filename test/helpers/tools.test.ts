import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { findTool, skipWithout } from './tools.ts'

const before = { cache: process.env['REGCREDD_CACHE'], ci: process.env['CI'] }
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'regcredd-tools-'))
  set('REGCREDD_CACHE', dir)
  set('CI', undefined)
})

afterEach(async () => {
  set('REGCREDD_CACHE', before.cache)
  set('CI', before.ci)
  await rm(dir, { recursive: true })
})

test('a tool out of the cache is run with the library path of the cache, behind the PATH of the caller', async () => {
  await know({
    name: 'skopeo',
    command: process.execPath,
    version: '1.9.3',
    path: ['/cache/bin'],
    libraryPath: '/cache/lib',
  })
  const tool = findTool('skopeo')
  assert.ok('command' in tool)
  assert.equal(tool.version, '1.9.3')
  assert.equal(tool.env['LD_LIBRARY_PATH'], '/cache/lib')
  assert.equal(tool.env['PATH'], `${process.env['PATH']}:/cache/bin`)
})

test('a tool of the system is run in the environment as it is', async () => {
  await know({ name: 'runc', command: process.execPath, version: '1.1.5' })
  const tool = findTool('runc')
  assert.ok('command' in tool)
  assert.deepEqual(tool.env, { ...process.env })
})

test('a missing part is told with the reason of the set-up, whether it never came or is gone', async () => {
  assert.match(String(skipWithout('etcd')), /no set-up has run/)
  await know({ name: 'etcd', missing: 'not on PATH' }, { name: 'runc', command: join(dir, 'gone'), version: '1' })
  assert.equal(skipWithout('etcd'), 'etcd: not on PATH')
  assert.match(String(skipWithout('runc')), /gone; run the set-up again/)
  assert.match(String(skipWithout('nginx')), /did not ask for it/)
})

test('in CI a missing part is an error and not a skipped test', async () => {
  await know({ name: 'etcd', missing: 'not on PATH' }, { name: 'runc', command: process.execPath, version: '1' })
  set('CI', 'true')
  assert.equal(skipWithout('runc'), false)
  assert.throws(() => skipWithout('runc', 'etcd'), /CI skips nothing: etcd: not on PATH/)
})

async function know(...rows: object[]): Promise<void> {
  await writeFile(join(dir, 'tools.json'), JSON.stringify(rows))
}

function set(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}
