import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { configFile } from '../../src/config/schema.ts'
import { needTool, skipWithout } from '../helpers/tools.ts'

const UNIT = join(import.meta.dirname, '../../systemd/regcredd.service')
const STARTER = '/usr/bin/regcredd'
/** Tenths: 1.5 on the scale of `systemd-analyze security`, where 10 is a unit without any sandbox. */
const MAX_EXPOSURE = '15'
const skip = skipWithout('systemd-analyze')

/** The unit as it stands, but for its starter where no package has put one: systemd refuses a command that is not there. */
function checkable(t: TestContext, change = (text: string) => text): string {
  const folder = mkdtempSync(join(tmpdir(), 'regcredd-unit-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'regcredd.service')
  const text = readFileSync(UNIT, 'utf8')
  writeFileSync(path, change(existsSync(STARTER) ? text : text.replace(`ExecStart=${STARTER}`, 'ExecStart=/bin/true')))
  return path
}

function analyze(...options: string[]): { status: number | null; told: string } {
  const { command, env } = needTool('systemd-analyze')
  const { status, stdout, stderr } = spawnSync(command, options, { env, encoding: 'utf8' })
  return { status, told: stdout + stderr }
}

function verify(path: string): { status: number | null; told: string } {
  return analyze('verify', '--man=no', '--recursive-errors=no', path)
}

function settings(): Map<string, string[]> {
  const all = new Map<string, string[]>()
  for (const [, name = '', value = ''] of readFileSync(UNIT, 'utf8').matchAll(/^([A-Za-z]+)=(.*)$/gm)) {
    all.set(name, [...(all.get(name) ?? []), value])
  }
  return all
}

function seconds(name: string): number {
  const [, number] = /^(\d+)s$/.exec(settings().get(name)?.[0] ?? '') ?? []
  return Number(number)
}

test('systemd has nothing to say against the unit', { skip }, (t) => {
  assert.deepEqual(verify(checkable(t)), { status: 0, told: '' })
})

test('the same check does speak up on a setting that systemd does not know', { skip }, (t) => {
  const { told } = verify(checkable(t, (text) => text.replace('PrivateTmp=', 'PrivateTemp=')))
  assert.match(told, /PrivateTemp/)
})

test('the exposure of the unit is 1.5 at most', { skip }, (t) => {
  const { status, told } = analyze(
    'security',
    '--offline=true',
    `--threshold=${MAX_EXPOSURE}`,
    '--no-pager',
    checkable(t),
  )
  assert.equal(status, 0, told)
})

test('the stop is longer than the default drain, and a ping fits into the watchdog', () => {
  const { proxy } = configFile.parse({ registries: [{ host: 'docker.io' }], keychain: { store: 'memory' } })
  assert.ok(seconds('TimeoutStopSec') * 1000 >= proxy.drainTimeoutMs + 5_000)
  assert.ok(seconds('WatchdogSec') >= 2)
})

test('no core, no swap, no NODE_OPTIONS, and nothing that breaks Node', () => {
  const all = settings()
  assert.deepEqual(all.get('LimitCORE'), ['0'])
  assert.deepEqual(all.get('MemorySwapMax'), ['0'])
  for (const name of ['NODE_OPTIONS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_DEBUG']) {
    assert.ok(all.get('UnsetEnvironment')?.[0]?.split(' ').includes(name), name)
  }
  assert.equal(all.has('MemoryDenyWriteExecute'), false)
  assert.equal(all.has('LimitAS'), false)
  assert.doesNotMatch(all.get('SystemCallFilter')?.join(' ') ?? '', /~.*@ipc/)
})

test('nothing can be run from a folder that the daemon may write', () => {
  const all = settings()
  const writable = [
    `/run/${all.get('RuntimeDirectory')}`,
    `/var/lib/${all.get('StateDirectory')}`,
    `/var/log/${all.get('LogsDirectory')}`,
    ...['/tmp', '/var/tmp', '/dev/shm'],
  ]
  assert.deepEqual(all.get('NoExecPaths')?.[0]?.split(' '), writable)
})

test('the folders of the unit are those of the configuration', () => {
  const { proxy, admin, audit } = configFile.parse({
    registries: [{ host: 'docker.io' }],
    keychain: { store: 'memory' },
  })
  const all = settings()
  assert.equal(admin.socket, `/run/${all.get('RuntimeDirectory')}/admin.sock`)
  assert.equal(audit.folder, `/var/log/${all.get('LogsDirectory')}`)
  assert.ok(proxy.callerTokenFile.startsWith(`/var/lib/${all.get('StateDirectory')}/`))
})
