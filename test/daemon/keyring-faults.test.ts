import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Daemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { isReady, KNOWN, pull, startBoth, UNKNOWN } from './known-and-unknown.ts'

const skip = skipWithoutKeyring()
const PASSWORD = 'the-password'

/** A daemon on a real keyring that has read one credential, and knows nothing yet of the second one, which it was given before a restart. */
async function start(t: TestContext, { timeoutMs = 10_000 } = {}) {
  const keyring = await startKeyring()
  t.after(() => keyring.close())
  const config = { keychain: { store: 'os', timeoutMs } }
  const { registry, daemon } = await startBoth(t, PASSWORD, { config, env: keyring.env })
  return { keyring, registry, daemon }
}

const login = (daemon: Daemon, host: string) =>
  daemon.cli(['login', host, '--username', 'ci', '--password-stdin'], { stdin: PASSWORD })

async function readiness(daemon: Daemon): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${daemon.health}/readyz`)
  return { status: answer.status, text: await answer.text() }
}

for (const [what, fault, code, remedy] of [
  ['locked', 'lock', 'KEYCHAIN_LOCKED', /keychain is locked .*--unlock/],
  ['dead', 'kill', 'KEYCHAIN_UNAVAILABLE', /keychain is unavailable .*is gnome-keyring-daemon .*running/],
] as const) {
  test(`while the keyring is ${what} pulls go on with what is known, all else is refused in words, nothing is wiped, and it recovers by itself`, {
    skip,
  }, async (t) => {
    const { keyring, registry, daemon } = await start(t)
    assert.equal((await login(daemon, KNOWN)).code, 0)
    assert.equal((await pull(daemon, KNOWN)).status, 200)

    await keyring[fault]()
    const refused = await login(daemon, UNKNOWN)
    assert.equal(refused.code, 1)
    assert.ok(refused.stderr.includes(code), refused.stderr)
    registry.requests.length = 0
    const unknown = await pull(daemon, UNKNOWN)
    assert.equal(unknown.status, 503)
    assert.ok(unknown.body.toString().includes(code), unknown.body.toString())
    assert.equal(registry.requests.length, 0, 'it was not asked anonymously')
    assert.equal((await pull(daemon, KNOWN)).status, 200)
    const ready = await readiness(daemon)
    assert.equal(ready.status, 503)
    assert.match(ready.text, remedy)
    assert.match(ready.text, /credentials that were read before serve on/)
    const status = JSON.parse((await daemon.cli(['status', '--json'])).stdout)
    assert.equal(status.keychain.code, code)
    await eventually('the log says so', () => new RegExp(`"code":"${code}".*"msg":"keychain"`).test(daemon.log()))
    assert.match(
      await (await fetch(`${daemon.health}/metrics`)).text(),
      /regcredd_keychain\w*\{[^}]*store="os"[^}]*\} 0/,
    )

    await (fault === 'lock' ? keyring.unlock() : keyring.start())
    await isReady(daemon)
    assert.equal((await pull(daemon, KNOWN)).status, 200)
    assert.equal((await login(daemon, UNKNOWN)).code, 0)
    assert.equal((await pull(daemon, UNKNOWN)).status, 200)
    await daemon.kill()
    await daemon.start()
    assert.deepEqual([(await pull(daemon, KNOWN)).status, (await pull(daemon, UNKNOWN)).status], [200, 200])
  })
}

test('a daemon that starts while the keyring is locked serves nothing of it, asks nobody anonymously, and serves when it is unlocked', {
  skip,
}, async (t) => {
  const { keyring, registry, daemon } = await start(t)
  assert.equal((await login(daemon, KNOWN)).code, 0)
  await daemon.stop()
  await keyring.lock()
  await daemon.start()
  registry.requests.length = 0
  assert.equal((await pull(daemon, KNOWN)).status, 503)
  assert.equal(registry.requests.length, 0)
  assert.equal((await readiness(daemon)).status, 503)
  await keyring.unlock()
  await isReady(daemon)
  assert.equal((await pull(daemon, KNOWN)).status, 200)
})

test('a keyring that hangs holds up no pull of what is known, and is told of', { skip }, async (t) => {
  const { keyring, daemon } = await start(t, { timeoutMs: 3_000 })
  assert.equal((await login(daemon, KNOWN)).code, 0)
  keyring.stop()
  t.after(() => keyring.resume())
  const listing = daemon.cli(['login', UNKNOWN, '--username', 'ci', '--password-stdin'], { stdin: PASSWORD })
  for (let turn = 0; turn < 20; turn += 1) {
    const startedMs = performance.now()
    assert.equal((await pull(daemon, KNOWN)).status, 200)
    assert.ok(performance.now() - startedMs < 2_500, 'a pull waited for the keyring')
  }
  const { code, stderr } = await listing
  assert.deepEqual([code, /did not answer/.test(stderr)], [1, true], stderr)
  assert.match((await readiness(daemon)).text, /did not answer in time|did not answer within/)
  keyring.resume()
  await isReady(daemon)
})
