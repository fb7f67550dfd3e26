import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ask } from '../helpers/proxy.ts'
import { startPair } from './pair.ts'

type Config = Record<string, Record<string, unknown>> & { registries: Record<string, unknown>[] }

/** Starts a second daemon with a copy of the first one's configuration, changed; gives how it ended. */
async function startSecond(
  first: Awaited<ReturnType<typeof startPair>>,
  change: (config: Config, folder: string) => void | Promise<void>,
  env: Record<string, string> = {},
) {
  const { daemon } = first
  const folder = join(daemon.folder, 'second')
  await mkdir(folder)
  const config = JSON.parse(await readFile(daemon.configFile, 'utf8')) as Config
  Object.assign(config['proxy'] ?? {}, { listen: '127.0.0.1:0', callerTokenFile: join(folder, 'caller-token') })
  Object.assign(config['keychain'] ?? {}, { path: join(folder, 'keychain.json') })
  config['health'] = { listen: '127.0.0.1:0' }
  config['admin'] = { socket: join(folder, 'admin.sock') }
  config['audit'] = { folder: join(folder, 'log') }
  await change(config, folder)
  const configFile = join(folder, 'config.json')
  await writeFile(configFile, typeof config === 'string' ? config : JSON.stringify(config))
  const startedMs = performance.now()
  const ended = await daemon.cli(['serve'], { env: { REGCREDD_CONFIG: configFile, ...env } })
  assert.ok(performance.now() - startedMs < 30_000, 'it ends at once and leaves nothing listening')
  assert.doesNotMatch(ended.stdout, /"msg":"ready"/)
  return ended
}

test('a port or socket that another daemon has is named with the remedy, and the other goes on', async (t) => {
  for (const [section, key, of] of [
    ['proxy', 'listen', 'proxy'],
    ['health', 'listen', 'health'],
    ['admin', 'socket', 'socket'],
  ] as const) {
    const first = await startPair(t)
    const taken = String(first.daemon[of]).replace('http://', '')
    const { code, stderr } = await startSecond(first, (config) => {
      Object.assign(config[section] ?? {}, { [key]: taken })
    })
    assert.equal(code, 1, stderr)
    assert.match(stderr, /LISTEN_FAILED/)
    assert.ok(stderr.includes(taken), stderr)
    assert.match(stderr, /another (process|daemon)/)
    assert.equal((await ask(first.port(), first.manifest, first.token())).status, 200)
    assert.equal((await first.daemon.cli(['status'])).code, 0)
    await first.daemon.close()
  }
})

test('a second daemon on the audit folder of the first is refused, and the first goes on writing', async (t) => {
  const first = await startPair(t)
  const { code, stderr } = await startSecond(first, (config) => {
    config['audit'] = { folder: join(first.daemon.folder, 'log') }
  })
  assert.equal(code, 1, stderr)
  assert.match(stderr, /another daemon writes there already[\s\S]*AUDIT_UNAVAILABLE/)
  assert.equal((await ask(first.port(), first.manifest, first.token())).status, 200)
})

const root = process.getuid?.() === 0

test('an audit folder that cannot be written ends the start, with its path and what to do', async (t) => {
  const first = await startPair(t, { login: 'no' })
  const { code, stderr } = await startSecond(first, async (config, folder) => {
    // Root writes wherever it likes, but in no file as if that were a folder.
    await writeFile(join(folder, 'in-the-way'), '')
    await mkdir(join(folder, 'closed'), { mode: 0o500 })
    config['audit'] = { folder: root ? join(folder, 'in-the-way/log') : join(folder, 'closed/log') }
  })
  assert.equal(code, 1, stderr)
  assert.match(stderr, /audit\.folder \S+\/second\/\S+: (ENOTDIR|EACCES): [\s\S]*AUDIT_UNAVAILABLE/)
  if (!root) await chmod(join(first.daemon.folder, 'second/closed'), 0o700)
})

test('a configuration with many faults ends with 78 and all of them, each with its path', async (t) => {
  const first = await startPair(t, { login: 'no' })
  const { code, stderr } = await startSecond(first, (config) => {
    config.registries.push({ host: 'bad_host' }, { host: config.registries[0]?.['host'] })
    config.registries.push({ host: 'x.example', upstream: 'ftp://x.example', caFile: '/nowhere/ca.pem' })
    Object.assign(config, { keychian: {}, log: { level: 'loud' } })
  })
  assert.equal(code, 78, stderr)
  for (const path of [
    'registries[1].host',
    'registries[2].host',
    'registries[3].upstream',
    'registries[3].caFile',
    'keychian',
    'log.level',
  ]) {
    assert.ok(stderr.includes(path), `${path} in ${stderr}`)
  }
  await assert.rejects(stat(join(first.daemon.folder, 'second/log')), { code: 'ENOENT' })
})

test('NODE_OPTIONS, by which a debugger could be opened, is refused with 78', async (t) => {
  const first = await startPair(t, { login: 'no' })
  const { code, stderr } = await startSecond(first, () => {}, { NODE_OPTIONS: '--no-warnings' })
  assert.equal(code, 78)
  assert.match(stderr, /NODE_OPTIONS is set[\s\S]*unset it/)
})

test('a keychain file that is damaged, or whose key is another, is told of and left as it is; pulls are 503 and never anonymous', async (t) => {
  const { daemon, registry, port, manifest, token } = await startPair(t)
  await daemon.stop()
  const file = join(daemon.folder, 'state/keychain.json')
  const bytes = await readFile(file)
  const key = await readFile(join(daemon.folder, 'keychain.key'))
  for (const damage of [
    () => writeFile(file, bytes.subarray(0, bytes.length / 2)),
    () => writeFile(join(daemon.folder, 'keychain.key'), Buffer.alloc(32, 7).toString('base64')),
  ]) {
    await damage()
    const damaged = await readFile(file)
    await daemon.start()
    registry.requests.length = 0
    const got = await ask(port(), manifest, token())
    assert.equal(got.status, 503)
    assert.match(got.body.toString(), /KEYCHAIN_(CORRUPT|UNAVAILABLE)/)
    assert.equal(registry.requests.length, 0)
    const ready = await fetch(`${daemon.health}/readyz`)
    assert.deepEqual([ready.status, /the keychain is unavailable/.test(await ready.text())], [503, true])
    const refused = await daemon.cli(['login', 'registry.corp.example', '--username', 'ci', '--password-stdin'], {
      stdin: 'x',
    })
    assert.equal(refused.code, 1)
    await daemon.stop()
    assert.deepEqual(await readFile(file), damaged)
    await writeFile(file, bytes)
    await writeFile(join(daemon.folder, 'keychain.key'), key)
  }
  await daemon.start()
  assert.equal((await ask(port(), manifest, token())).status, 200)
})
