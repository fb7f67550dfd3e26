import assert from 'node:assert/strict'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startDaemon } from '../helpers/daemon.ts'
import { isReady, KNOWN, pull, reason, startBoth, store, UNKNOWN } from './known-and-unknown.ts'

const PASSWORD = 'the-password'

async function start(t: TestContext) {
  const { registry, daemon, options } = await startBoth(t, PASSWORD)
  assert.equal((await store(daemon, KNOWN, PASSWORD)).status, 200)
  return { registry, daemon, registries: options.registries, path: join(daemon.folder, 'state/keychain.json') }
}

for (const [what, breakIt, says] of [
  ['vanishes', (path: string) => rm(path), /as if it had never been; bring it back/],
  [
    'is damaged',
    (path: string) => writeFile(path, '{"format":'),
    /was damaged or changed by another hand; move it away/,
  ],
  [
    'is replaced by that of another host',
    (path: string) => cp(join(import.meta.dirname, '../keychain/fixtures/node-7.keychain'), path),
    /was encrypted with the key [0-9a-f]{16} of the host node-7, and the configured key is/,
  ],
] as const) {
  test(`a keychain file that ${what} costs no pull of what is known, nothing is written over it, and it heals when it is back`, async (t) => {
    const { registry, daemon, path } = await start(t)
    const whole = await readFile(path)
    await breakIt(path)
    const broken = await readFile(path, 'utf8').catch(() => 'gone')
    assert.equal((await pull(daemon, KNOWN)).status, 200)
    registry.requests.length = 0
    const unknown = await pull(daemon, UNKNOWN)
    assert.equal(unknown.status, 503)
    assert.equal(registry.requests.length, 0, 'it was not asked anonymously')
    const refused = await store(daemon, UNKNOWN, PASSWORD)
    assert.equal(refused.status, 503)
    assert.match(refused.body.detail, says)
    assert.equal(await readFile(path, 'utf8').catch(() => 'gone'), broken)
    assert.equal((await pull(daemon, KNOWN)).status, 200)
    await writeFile(path, whole, { mode: 0o600 })
    await daemon.rest('GET', '/v1/registries')
    await isReady(daemon)
    assert.equal((await store(daemon, UNKNOWN, PASSWORD)).status, 200)
    assert.match(await reason(daemon), /^(?!.*keychain)/)
  })
}

test('a second daemon on one keychain file does not start, says why and what to do, and leaves the first one alone', async (t) => {
  const { daemon, registries, path } = await start(t)
  const keychain = { store: 'file', path, keyFile: join(daemon.folder, 'keychain.key') }
  await assert.rejects(
    startDaemon({ registries, config: { keychain } }),
    /another daemon uses .*keychain\.json already[\s\S]*stop the daemon/,
  )
  assert.equal((await pull(daemon, KNOWN)).status, 200)
})
