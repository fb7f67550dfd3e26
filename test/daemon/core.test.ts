import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { awkwardPassword, canaryOf } from '../helpers/canary.ts'
import { startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { startFakeRegistry } from '../helpers/fake-registry.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { descendantsOf, findLeaks, placesInFolder } from '../helpers/leak-search.ts'
import { ask } from '../helpers/proxy.ts'

const WITH_CORES = ['sh', '-c', 'ulimit -c unlimited || ulimit -c "$(ulimit -H -c)"; exec "$@"', 'sh']

const filterOf = async (pid: number) => (await readFile(`/proc/${pid}/coredump_filter`, 'utf8')).trim()

test('the core of a daemon that dies holds none of its memory', async (t) => {
  const canary = awkwardPassword('the password in memory')
  const registry = await startFakeRegistry({ auth: 'basic', password: canary.value })
  t.after(() => registry.close())
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const daemon = await startDaemon({
    registries: [{ host: 'r.example', upstream: registry.origin.origin }],
    wrap: WITH_CORES,
  })
  t.after(() => daemon.close())
  const login = ['login', 'r.example', '--username', 'ci', '--password-stdin']
  assert.equal((await daemon.cli(login, { stdin: canary.value })).code, 0)
  const headers = { 'regcredd-token': daemon.callerToken }
  assert.equal((await ask(daemon.port(), '/v2/team/app/manifests/1?ns=r.example', { headers })).status, 200)
  assert.equal(await filterOf(daemon.pid), '00000000')
  process.kill(daemon.pid, 'SIGABRT')
  assert.equal((await daemon.ended()).signal, 'SIGABRT')
  assert.match(daemon.log(), /a crash may leave a core file: start the daemon under `ulimit -c 0`/)
  // Where core_pattern names a plain file there is a core now; where it names a pipe, another program got as little.
  const cores = placesInFolder('file', daemon.folder).filter(({ name }) => name.startsWith(join(daemon.folder, 'core')))
  t.diagnostic(`${cores.length} core: ${cores.map(({ content }) => content.length)} bytes`)
  for (const { content } of cores) assert.ok(content.length < 2_000_000, `${content.length} bytes`)
  // Registers are in it, and a register holds 64 bytes at most.
  const { name, value } = canary
  assert.deepEqual(findLeaks(cores, [canaryOf(name, value)]), [])
})

test('the search finds a password in the core of a process that does not keep it out', async (t) => {
  const canary = awkwardPassword('the password in memory')
  const registry = await startFakeRegistry({ auth: 'none' })
  t.after(() => registry.close())
  const daemon = await startDaemon({ registries: [{ host: 'r.example', upstream: registry.origin.origin }] })
  t.after(() => daemon.close())
  const script = `process.stdin.once('data', (text) => { globalThis.kept = String(text); process.kill(process.pid, 'SIGABRT') })`
  const [command = '', ...args] = [...WITH_CORES, process.execPath, '-e', script]
  spawnSync(command, args, { cwd: daemon.folder, input: canary.value })
  const cores = (await readdir(daemon.folder)).filter((name) => name.startsWith('core'))
  if (cores.length === 0)
    return t.skip('this machine writes no core into the folder of the process (core_pattern, ulimit)')
  assert.ok(findLeaks(placesInFolder('file', daemon.folder), [canary]).length > 0)
})

test('a crash of the process that speaks to the keyring leaves no core, whatever the limit of the daemon, and pulls go on', {
  skip: skipWithoutKeyring(),
}, async (t) => {
  const keyring = await startKeyring()
  t.after(() => keyring.close())
  const canary = awkwardPassword('the password in memory')
  const registry = await startFakeRegistry({ auth: 'basic', password: canary.value })
  t.after(() => registry.close())
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const daemon = await startDaemon({
    registries: [{ host: 'r.example', upstream: registry.origin.origin }],
    config: { keychain: { store: 'os', timeoutMs: 10_000 } },
    env: keyring.env,
    wrap: WITH_CORES,
  })
  t.after(() => daemon.close())
  const login = ['login', 'r.example', '--username', 'ci', '--password-stdin']
  assert.equal((await daemon.cli(login, { stdin: canary.value })).code, 0)
  const helper = await eventually('the helper', async () => {
    for (const pid of descendantsOf(daemon.pid)) {
      if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('os-helper')) return pid
    }
    return undefined
  })
  assert.equal(await filterOf(helper), '00000000')
  process.kill(helper, 'SIGSEGV')
  await eventually('it is gone', () => !descendantsOf(daemon.pid).includes(helper))
  const headers = { 'regcredd-token': daemon.callerToken }
  const path = '/v2/team/app/manifests/1?ns=r.example'
  assert.equal((await ask(daemon.port(), path, { headers })).status, 200)
  assert.equal((await daemon.cli(login, { stdin: canary.value })).code, 0, 'a new one has taken its place')
  assert.deepEqual(
    (await readdir(daemon.folder)).filter((name) => name.startsWith('core')),
    [],
  )
})
