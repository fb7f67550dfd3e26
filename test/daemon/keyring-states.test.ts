import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createHelperProcess } from '../../src/keychain/os-process.ts'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { addForeignItem } from '../keychain/foreign-item.ts'
import { isReady, KNOWN, pull, reason, startBoth, store, UNKNOWN } from './known-and-unknown.ts'

const skip = skipWithoutKeyring()
const PASSWORD = 'grüße 🔑'

/** A daemon on a real keyring that knows one credential of two registries. */
async function start(t: TestContext, keychain: object = {}) {
  const keyring = await startKeyring()
  t.after(() => keyring.close())
  const config = { keychain: { store: 'os', timeoutMs: 10_000, ...keychain } }
  const { registry, daemon, options } = await startBoth(t, PASSWORD, { config, env: keyring.env })
  const stored = await store(daemon, KNOWN, PASSWORD)
  assert.equal(stored.status, 200, JSON.stringify(stored.body))
  assert.equal((await pull(daemon, KNOWN)).status, 200)
  return { keyring, registry, daemon, options }
}

/** Pulls of what is known go on, of what is not are refused with this code, and nobody is asked without a password. */
async function servesWhatIsKnown(daemon: Daemon, registry: { requests: unknown[] }, code: string): Promise<void> {
  assert.equal((await pull(daemon, KNOWN)).status, 200)
  registry.requests.length = 0
  const refused = await pull(daemon, UNKNOWN)
  assert.equal(refused.status, 503)
  assert.match(refused.body.toString(), new RegExp(code))
  assert.equal(registry.requests.length, 0, 'it was not asked anonymously')
}

test('a keyring that comes back with a wrong password counts as locked: pulls go on, and the remedy is said', {
  skip,
}, async (t) => {
  const { keyring, registry, daemon } = await start(t)
  await keyring.kill()
  await keyring.startWithWrongPassword()
  await pull(daemon, UNKNOWN)
  assert.match(await reason(daemon), /KEYCHAIN_LOCKED/)
  assert.match(await reason(daemon), /not been given its password, or a wrong one; .*--unlock/)
  await servesWhatIsKnown(daemon, registry, 'KEYCHAIN_LOCKED')
  await keyring.unlock()
  await isReady(daemon)
})

test('a bus that is gone costs no pull of what is known, and a new one at its place is found', { skip }, async (t) => {
  const { keyring, registry, daemon } = await start(t)
  await keyring.killBus()
  await pull(daemon, UNKNOWN)
  assert.match(await reason(daemon), /KEYCHAIN_UNAVAILABLE/)
  assert.match(await reason(daemon), /the session bus cannot be reached/)
  await servesWhatIsKnown(daemon, registry, 'KEYCHAIN_UNAVAILABLE')
  await keyring.startBus()
  await isReady(daemon)
  assert.equal((await pull(daemon, KNOWN)).status, 200)
})

test('a keyring whose file was damaged is not taken for an empty one: pulls go on, nothing is written into it, and it mends when the file is back', {
  skip,
}, async (t) => {
  const { keyring, registry, daemon } = await start(t)
  await keyring.kill()
  const file = join(keyring.folder, 'login.keyring')
  const whole = await readFile(file)
  await writeFile(file, whole.subarray(0, 200))
  await keyring.start()
  await pull(daemon, UNKNOWN)
  assert.match(await reason(daemon), /as if it had never been/)
  await servesWhatIsKnown(daemon, registry, 'KEYCHAIN_UNAVAILABLE')
  assert.equal((await store(daemon, UNKNOWN, PASSWORD)).status, 503)
  await daemon.kill()
  await daemon.start()
  assert.match(await reason(daemon), /as if it had never been/, 'a start does not make it a new one')
  registry.requests.length = 0
  assert.equal((await pull(daemon, KNOWN)).status, 503)
  assert.equal(registry.requests.length, 0)
  await keyring.kill()
  for (const name of await readdir(keyring.folder)) await rm(join(keyring.folder, name))
  await writeFile(file, whole, { mode: 0o600 })
  await keyring.start()
  await isReady(daemon)
  await daemon.kill()
  await daemon.start()
  assert.equal((await pull(daemon, KNOWN)).status, 200)
})

test('items of other programs under the same service name harm nothing, and one in the place of a credential is named', {
  skip,
}, async (t) => {
  const { keyring, registry, daemon } = await start(t)
  await addForeignItem(keyring.env, 'regcredd')
  const helper = createHelperProcess({ timeoutMs: 10_000, environment: keyring.env })
  t.after(() => helper.close())
  await helper.call({ do: 'set', service: 'regcredd', account: 'alice', text: 'canary-4711' })
  await helper.call({ do: 'set', service: 'regcredd', account: UNKNOWN, text: 'canary-4712' })
  await daemon.kill()
  await daemon.start()
  await servesWhatIsKnown(daemon, registry, 'KEYCHAIN_CORRUPT')
  await isReady(daemon)
  await eventually('the log names it', () =>
    /the item of unknown\.example does not have the required form/.test(daemon.log()),
  )
  assert.ok(!daemon.log().includes('canary'))
})

test('the second of two daemons on one service name says so, serves nothing of it, and takes over when the first has ended', {
  skip,
}, async (t) => {
  const { daemon, options, registry } = await start(t)
  const second = await startDaemon(options)
  t.after(() => second.close())
  assert.match(await reason(second), /another regcredd on this session bus uses the service name "regcredd" already/)
  registry.requests.length = 0
  assert.equal((await pull(second, KNOWN)).status, 503)
  assert.equal(registry.requests.length, 0)
  assert.equal((await pull(daemon, KNOWN)).status, 200)
  await daemon.stop()
  await isReady(second)
  assert.equal((await pull(second, KNOWN)).status, 200)
})

test('with a locked keyring the plaintext is dropped after its time, and pulls are then refused until it is unlocked', {
  skip,
}, async (t) => {
  const { keyring, daemon, registry } = await start(t, { plaintextTtlMs: 6_000 })
  // Its time begins anew, and is to last over the lock.
  assert.equal((await store(daemon, KNOWN, PASSWORD)).status, 200)
  await keyring.lock()
  assert.equal((await pull(daemon, KNOWN)).status, 200)
  registry.requests.length = 0
  const refused = await eventually(
    'it is refused',
    async () => {
      const answer = await pull(daemon, KNOWN)
      return answer.status === 503 && answer
    },
    20_000,
  )
  assert.match(refused.body.toString(), /KEYCHAIN_LOCKED/)
  assert.match(await reason(daemon), /; 0 credentials that were read before serve on/)
  await keyring.unlock()
  await isReady(daemon)
  assert.equal((await pull(daemon, KNOWN)).status, 200)
})

test('a daemon without any session bus starts, says so, and asks nobody anonymously', { skip }, async (t) => {
  const { registry, options } = await start(t)
  const daemon = await startDaemon({ ...options, env: { DBUS_SESSION_BUS_ADDRESS: '', XDG_RUNTIME_DIR: '' } })
  t.after(() => daemon.close())
  registry.requests.length = 0
  assert.match(await reason(daemon), /there is no session bus; set DBUS_SESSION_BUS_ADDRESS/)
  assert.equal((await pull(daemon, KNOWN)).status, 503)
  assert.equal(registry.requests.length, 0)
})
