import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openFileItems } from '../../src/keychain/file.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import { createKeychain } from '../../src/keychain/keychain.ts'
import { Secret } from '../../src/secret.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { makeKeyFile } from '../keychain/key.ts'
import { sample } from '../keychain/sample.ts'
import { mainPath, type RunOptions, run } from './regcredd.ts'
import { skipWithoutTerminal } from './terminal-process.ts'

const PASSPHRASE = 'a passphrase of a person'

/** A configuration and a file store with one credential; no daemon. */
async function setUp(t: TestContext, keychain: object = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-store-'))
  t.after(() => rm(folder, { recursive: true }))
  const at = (name: string) => join(folder, name)
  await makeKeyFile(at('key'))
  const open = async () => openFileItems(at('keychain.json'), await findKey(at('key'), {}))
  const items = await open()
  await createKeychain(items).update('a.example', () => sample('a.example', 'kept'))
  await items.close()
  const config = {
    registries: [{ host: 'a.example' }],
    keychain: { store: 'file', path: at('keychain.json'), keyFile: at('key'), ...keychain },
    proxy: { callerTokenFile: at('caller-token') },
  }
  await writeFile(at('config.json'), JSON.stringify(config))
  const cli = (args: string[], options: RunOptions = {}) =>
    run(['keychain', ...args, '--config', at('config.json')], options)
  return { at, open, cli }
}

test('check says of each item that cannot be read what is wrong with it', async (t) => {
  const { cli, open } = await setUp(t)
  const items = await open()
  await items.write('b.example', new Secret('{"schema":9,"key":"b.example","canary":1}'))
  await items.close()
  const { code, stdout } = await cli(['check'])
  assert.equal(code, 1)
  assert.match(
    stdout,
    /1 can be read, 1 cannot[\s\S]*b\.example .* broken\n\n.*the item of b\.example was written by a newer/,
  )
  assert.ok(!stdout.includes('canary'))
})

test('a migration keeps how long passwords stay in memory, and asks for the key of the new file', async (t) => {
  const { cli, at } = await setUp(t, { plaintextTtlMs: 60_000 })
  const target = ['migrate', '--to', 'file', '--path', at('other.json')]
  const without = await cli(target)
  assert.deepEqual([without.code, /--to-key-file FILE/.test(without.stderr)], [64, true], without.stderr)
  const moved = await cli([...target, '--to-key-file', at('key'), '--json'])
  assert.deepEqual(JSON.parse(moved.stdout).keychain, {
    store: 'file',
    path: at('other.json'),
    keyFile: at('key'),
    plaintextTtlMs: 60_000,
  })
})

test('a migration names no key file that the service is handed as a credential', async (t) => {
  const { cli, at } = await setUp(t, { keyFile: undefined })
  const migrate = ['migrate', '--to', 'file', '--key-file', at('key'), '--path']
  const same = await cli([...migrate, at('same.json'), '--to-key-file', at('key')])
  assert.match(
    same.stdout,
    /keychain\.json is as it was, passwords and all\.[\s\S]*"keychain": \{"store":"file","path":"[^"]+"\}\n$/,
  )
  await makeKeyFile(at('other'))
  const other = await cli([...migrate, at('other.json'), '--to-key-file', at('other'), '--delete-source'])
  assert.match(
    other.stdout,
    /holds nothing any more\.[\s\S]*"keyFile":"[^"]+\/other"\}\nThe user of the daemon must be able/,
  )
})

test('a restore that would delete says so', async (t) => {
  const { cli, at, open } = await setUp(t)
  const whole = await readFile(at('keychain.json'))
  const items = await open()
  await createKeychain(items).update('a.example', () => undefined)
  await items.close()
  const passphrase = { stdin: PASSPHRASE }
  assert.equal((await cli(['backup', at('backup'), '--passphrase-stdin'], passphrase)).code, 0)
  await writeFile(at('keychain.json'), whole)
  const restore = ['restore', at('backup'), '--passphrase-stdin']
  assert.match((await cli([...restore, '--dry-run'], passphrase)).stdout, /a\.example +1 +2 +would be deleted/)
  assert.match((await cli(restore, passphrase)).stdout, /a\.example +1 +2 +deleted/)
})

test('at a terminal the passphrase of a new backup is typed twice, and a slip makes none', {
  skip: skipWithoutTerminal(),
}, async (t) => {
  const { at } = await setUp(t)
  async function typing(name: string, ...answers: string[]) {
    const line = [process.execPath, mainPath, 'keychain', 'backup', at(name), '--config', at('config.json')].join(' ')
    const { PATH = '' } = process.env
    const child = spawn('script', ['-qec', line, '/dev/null'], { env: { PATH, TERM: 'xterm' }, timeout: 60_000 })
    let shown = ''
    child.stdout.on('data', (chunk) => {
      shown += chunk
      if (shown.endsWith(': ')) child.stdin.write(`${answers.shift() ?? ''}\r`)
    })
    const [code] = await once(child, 'close')
    assert.ok(!shown.includes(PASSPHRASE))
    return { code, shown }
  }
  const slip = await typing('slip', PASSPHRASE, `${PASSPHRASE}x`)
  assert.deepEqual([slip.code, existsSync(at('slip'))], [64, false], slip.shown)
  assert.match(slip.shown, /the two passphrases differ; nothing was written/)
  const good = await typing('good', PASSPHRASE, PASSPHRASE)
  assert.deepEqual([good.code, existsSync(at('good'))], [0, true], good.shown)
})

test('a keyring that was emptied is neither backed up nor called empty, and a restore fills it', {
  skip: skipWithoutKeyring(),
}, async (t) => {
  const keyring = await startKeyring()
  t.after(() => keyring.close())
  const { DBUS_SESSION_BUS_ADDRESS = '', XDG_RUNTIME_DIR = '' } = keyring.env
  const { cli, at } = await setUp(t)
  const backed = await cli(['backup', at('of-the-file'), '--passphrase-stdin'], { stdin: PASSPHRASE })
  assert.equal(backed.code, 0, backed.stderr)
  const config = JSON.parse(await readFile(at('config.json'), 'utf8'))
  await writeFile(at('config.json'), JSON.stringify({ ...config, keychain: { store: 'os', timeoutMs: 30_000 } }))
  const options = { env: { DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR }, stdin: PASSPHRASE }
  assert.equal((await cli(['check'], options)).code, 0)
  assert.equal(existsSync(at('keychain.seen')), false)
  await writeFile(at('keychain.seen'), '{"schema":1,"service":"regcredd"}\n')
  for (const args of [['check'], ['backup', at('backup'), '--passphrase-stdin']]) {
    const { code, stderr } = await cli(args, options)
    assert.deepEqual([code, /the keyring held credentials when it was last read/.test(stderr)], [1, true], stderr)
  }
  const restored = await cli(['restore', at('of-the-file'), '--passphrase-stdin'], options)
  assert.equal(restored.code, 0, restored.stderr)
  assert.match((await cli(['check'], options)).stdout, /1 can be read, 0 cannot/)
})
