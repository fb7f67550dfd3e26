import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { type ProcessSampler, placesInFolder, sampleProcesses } from '../helpers/leak-search.ts'
import { run } from './regcredd.ts'

const PASSPHRASE = 'passphrase-canary-4711'
const PASSWORD = 'password-canary-4712'
const HOSTS = ['a.example', 'b.example']

describe('regcredd keychain', () => {
  let daemon: Daemon
  const at = (name: string) => join(daemon.folder, name)
  const seen: string[] = []
  let sampler: ProcessSampler

  async function keychain(args: string[], stdin = '') {
    const outcome = await daemon.cli(['keychain', ...args], { stdin })
    seen.push(outcome.stdout, outcome.stderr)
    return outcome
  }

  const put = (host: string, password: string) =>
    daemon.rest('PUT', `/v1/registries/${host}/credential`, { username: 'ci', password, verify: false })

  before(async () => {
    sampler = sampleProcesses()
    daemon = await startDaemon({ registries: HOSTS.map((host) => ({ host })) })
    for (const host of HOSTS) assert.equal((await put(host, PASSWORD)).status, 200)
    await writeFile(at('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  })
  after(async () => {
    sampler.stop()
    await daemon.close()
  })

  test('check and backup work beside a running daemon; what would write says that it must be stopped', async () => {
    const checked = await keychain(['check', '--json'])
    assert.equal(checked.code, 0, checked.stderr)
    const row = { seq: 1, current: 'v1', username: 'ci', pending: false }
    assert.partialDeepStrictEqual(JSON.parse(checked.stdout), {
      store: 'file',
      credentials: HOSTS.map((host) => ({ host, ...row })),
      broken: [],
    })
    const backed = await keychain(['backup', at('one.backup'), '--passphrase-stdin', '--json'], PASSPHRASE)
    assert.equal(backed.code, 0, backed.stderr)
    assert.partialDeepStrictEqual(JSON.parse(backed.stdout), { credentials: 2, deletions: 0, broken: [] })
    assert.equal((await stat(at('one.backup'))).mode & 0o7777, 0o600)
    const before = await readFile(at('keychain.key'), 'utf8')
    for (const args of [
      ['rekey'],
      ['restore', at('one.backup'), '--passphrase-file', at('passphrase')],
      ['migrate', '--to', 'file', '--path', at('state/other.json'), '--to-key-file', at('keychain.key')],
    ]) {
      const { code, stderr } = await keychain(args)
      assert.equal(code, 1)
      assert.match(stderr, /another daemon uses .*keychain\.json already; stop the daemon \(systemctl stop regcredd\)/)
      assert.match(stderr, /KEYCHAIN_UNAVAILABLE/)
    }
    assert.equal(await readFile(at('keychain.key'), 'utf8'), before)
    const dry = await keychain(['restore', at('one.backup'), '--passphrase-file', at('passphrase'), '--dry-run'])
    assert.deepEqual([dry.code, /0 of 2 would change/.test(dry.stdout)], [0, true], dry.stdout)
  })

  test('a backup is restored, a newer credential is not overwritten unless that is asked for, and the daemon then serves it', async () => {
    await put('a.example', 'newer')
    await daemon.rest('DELETE', '/v1/registries/b.example/credential')
    await daemon.stop()
    const restore = ['restore', at('one.backup'), '--passphrase-file', at('passphrase')]
    const refused = await keychain(restore)
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /a\.example \(seq 2 there, 1 to be put in\), b\.example \(seq 2 there, 1 to be put in\)/,
    )
    const dry = JSON.parse((await keychain([...restore, '--dry-run', '--json'])).stdout)
    assert.deepEqual(
      [dry.dryRun, dry.steps[0]],
      [true, { key: 'a.example', do: 'back', has: 2, gets: 1, isDeletion: false }],
    )
    const wrong = await keychain(['restore', at('one.backup'), '--passphrase-stdin'], 'another passphrase entirely')
    assert.deepEqual([wrong.code, /made with another passphrase/.test(wrong.stderr)], [1, true], wrong.stderr)
    assert.equal((await keychain([...restore, '--older'])).code, 0)
    await daemon.start()
    const { body } = await daemon.rest('GET', '/v1/registries')
    const versions = body.registries.map(({ credential }: { credential: { version: string } }) => credential.version)
    assert.deepEqual(versions, ['v3', 'v2'])
  })

  test('a new key, another file, and back: the daemon serves from each', async () => {
    await daemon.stop()
    const rekeyed = await keychain(['rekey', '--json'])
    assert.equal(rekeyed.code, 0, rekeyed.stderr)
    assert.partialDeepStrictEqual(JSON.parse(rekeyed.stdout), { credentials: 2, resumed: false })
    await writeFile(at('state/other.key'), randomBytes(32).toString('base64'), { mode: 0o600 })
    const target = ['--to', 'file', '--path', at('state/other.json'), '--to-key-file', at('state/other.key')]
    const dry = await keychain(['migrate', ...target, '--dry-run'])
    assert.deepEqual([dry.code, /2 of 2 would change/.test(dry.stdout)], [0, true], dry.stderr)
    const moved = await keychain(['migrate', ...target, '--delete-source', '--json'])
    assert.equal(moved.code, 0, moved.stderr)
    assert.equal(JSON.parse((await keychain(['check', '--json'])).stdout).credentials.length, 0)
    const config = JSON.parse(await readFile(daemon.configFile, 'utf8'))
    await writeFile(daemon.configFile, JSON.stringify({ ...config, keychain: JSON.parse(moved.stdout).keychain }))
    assert.equal(JSON.parse((await keychain(['check', '--json'])).stdout).credentials.length, 2)
    await writeFile(daemon.configFile, JSON.stringify(config))
  })

  test('what cannot be meant is a usage error, and a passphrase is never repeated', async () => {
    for (const [args, says] of [
      [['backup', at('new.backup')], /give the passphrase on stdin with --passphrase-stdin/],
      [['backup', at('new.backup'), '--passphrase-file', at('short')], /shorter than 16 characters/],
      [['backup', at('one.backup'), '--passphrase-file', at('passphrase')], /is there already; name a new file/],
      [['backup', at('new.backup'), `--passphrase=${PASSPHRASE}`], /seen by every process/],
      [['migrate', '--to', 'file', '--path', at('state/keychain.json')], /are in .* already/],
      [['migrate', '--to', 'vault'], /Allowed choices are file, os/],
    ] as const) {
      await writeFile(at('short'), 'short', { mode: 0o600 })
      const { code, stderr } = await keychain([...args])
      assert.equal(code, 64, stderr)
      assert.match(stderr, says)
    }
    await writeFile(at('open'), PASSPHRASE, { mode: 0o644 })
    const open = await keychain(['backup', at('new.backup'), '--passphrase-file', at('open')])
    assert.deepEqual([open.code, /has mode 0644; chmod 0600/.test(open.stderr)], [1, true], open.stderr)
  })

  test('a keychain with an item that cannot be read ends check with 1, and a lost key is told of', async () => {
    await writeFile(at('keychain.key'), randomBytes(32).toString('base64'))
    const { code, stderr } = await keychain(['check'])
    assert.deepEqual([code, /was encrypted with the key [0-9a-f]{16} of the host/.test(stderr)], [1, true], stderr)
    const elsewhere = await run(['keychain', 'check', '--config', at('nothing.json')])
    assert.equal(elsewhere.code, 78)
  })

  test('neither a passphrase nor a password was shown, or written anywhere in clear, or stood among arguments or in an environment', async () => {
    const mistake = `--passphrase=${PASSPHRASE}`
    assert.ok(sampler.commands().some((command) => command.includes('keychain restore')))
    const places = [
      ...sampler.places().filter(({ content }) => !content.includes(mistake)),
      ...seen.map((content) => ({ name: 'output', content })),
      ...placesInFolder('files', daemon.folder).filter(({ name }) => !/\/(passphrase|open)$/.test(name)),
    ]
    for (const canary of [PASSPHRASE, PASSWORD])
      assert.deepEqual(
        places.filter(({ content }) => Buffer.from(content as string).includes(canary)).map(({ name }) => name),
        [],
      )
  })
})

test('a keyring is checked and backed up beside its daemon, and moved into a file once that has ended', {
  skip: skipWithoutKeyring(),
}, async (t) => {
  const keyring = await startKeyring()
  t.after(() => keyring.close())
  const { DBUS_SESSION_BUS_ADDRESS = '', XDG_RUNTIME_DIR = '' } = keyring.env
  const env = { DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR }
  const registries = HOSTS.map((host) => ({ host }))
  const daemon = await startDaemon({ registries, config: { keychain: { store: 'os', timeoutMs: 30_000 } }, env })
  t.after(() => daemon.close())
  const at = (name: string) => join(daemon.folder, name)
  for (const host of HOSTS) {
    const body = { username: 'ci', password: PASSWORD, verify: false }
    assert.equal((await daemon.rest('PUT', `/v1/registries/${host}/credential`, body)).status, 200)
  }
  const checked = await daemon.cli(['keychain', 'check', '--json'], { env })
  assert.equal(JSON.parse(checked.stdout).credentials.length, 2, checked.stderr)
  const backed = await daemon.cli(['keychain', 'backup', at('b'), '--passphrase-stdin'], { env, stdin: PASSPHRASE })
  assert.equal(backed.code, 0, backed.stderr)
  const target = ['--path', at('state/moved.json'), '--to-key-file', at('keychain.key'), '--delete-source', '--json']
  const early = await daemon.cli(['keychain', 'migrate', '--to', 'file', ...target], { env })
  assert.equal(early.code, 1)
  assert.match(early.stderr, /another regcredd on this session bus uses the service name/)
  await keyring.lock()
  const locked = await daemon.cli(['keychain', 'check'], { env })
  assert.deepEqual([locked.code, /KEYCHAIN_LOCKED/.test(locked.stderr)], [1, true], locked.stderr)
  await keyring.unlock()
  await daemon.stop()
  const moved = await daemon.cli(['keychain', 'migrate', '--to', 'file', ...target], { env })
  assert.equal(moved.code, 0, moved.stderr)
  assert.equal(JSON.parse((await daemon.cli(['keychain', 'check', '--json'], { env })).stdout).credentials.length, 0)
  const config = JSON.parse(await readFile(daemon.configFile, 'utf8'))
  await writeFile(at('moved.json'), JSON.stringify({ ...config, keychain: JSON.parse(moved.stdout).keychain }))
  const there = await daemon.cli(['keychain', 'check', '--config', at('moved.json'), '--json'])
  assert.equal(JSON.parse(there.stdout).credentials.length, 2, there.stderr)
  const usage = await daemon.cli(['keychain', 'rekey'], { env })
  assert.deepEqual([usage.code, /only the store "file" has a key/.test(usage.stderr)], [64, true], usage.stderr)
})
