import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { readCallerTokens, retireCallerTokens, rotateCallerToken } from '../src/caller-token-file.ts'
import { RegcreddError } from '../src/errors.ts'
import { startDaemon } from './helpers/daemon.ts'
import { eventually } from './helpers/eventually.ts'
import { startFakeRegistry } from './helpers/fake-registry.ts'
import { ask } from './helpers/proxy.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regcredd-token-'))
  path = join(folder, 'caller-token')
})
afterEach(() => rm(folder, { recursive: true }))

const reveal = async () => (await readCallerTokens(path)).map((token) => token.reveal())

test('the first reading makes a token that only the owner can read, and the next ones give the same', async () => {
  const [made] = await reveal()
  assert.match(made ?? '', /^[\w-]{43}$/)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.deepEqual(await reveal(), [made])
})

test('a rotation keeps the token before it good until it is retired, and no older one', async () => {
  const [first] = await reveal()
  assert.equal(await rotateCallerToken(path), 2)
  const [second, kept] = await reveal()
  assert.notEqual(second, first)
  assert.equal(kept, first)
  assert.equal(await rotateCallerToken(path), 2)
  assert.equal((await reveal())[1], second)
  assert.equal(await retireCallerTokens(path), 1)
  assert.equal((await reveal()).length, 1)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(folder), ['caller-token'])
})

test('a rotation removes what one that was killed has left, and so does a retirement', async () => {
  await reveal()
  for (const change of [rotateCallerToken, retireCallerTokens]) {
    for (const name of ['caller-token.new', 'caller-token.0123456789abcdef.tmp']) {
      await writeFile(join(folder, name), 'left')
    }
    await change(path)
    assert.deepEqual(await readdir(folder), ['caller-token'])
  }
})

const refused = (words: RegExp) => (thrown: unknown) =>
  thrown instanceof RegcreddError && thrown.code === 'CONFIG_INVALID' && words.test(thrown.message)

test('a file that others may read, or that holds something else, is refused and left alone', async () => {
  await writeFile(path, `${'a'.repeat(43)}\n`, { mode: 0o600 })
  await chmod(path, 0o640)
  await assert.rejects(readCallerTokens(path), refused(/chmod 0600/))
  await assert.rejects(rotateCallerToken(path), refused(/chmod 0600/))
  await writeFile(path, 'no token at all')
  await chmod(path, 0o600)
  await assert.rejects(readCallerTokens(path), refused(/no token/))
  assert.equal(await readFile(path, 'utf8'), 'no token at all')
})

test('a daemon follows a rotation of the caller token by the command line without a refused pull', async () => {
  const registry = await startFakeRegistry({ auth: 'none' })
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const daemon = await startDaemon({
    registries: [{ host: 'registry.corp.example', upstream: registry.origin.origin }],
  })
  try {
    const pull = async (token: string) => {
      const url = '/v2/team/app/manifests/1?ns=registry.corp.example'
      return (await ask(daemon.port(), url, { headers: { 'regcredd-token': token } })).status
    }
    const before = daemon.callerToken
    const rotated = await daemon.cli(['caller-token', 'rotate', '--json'])
    assert.equal(rotated.code, 0, rotated.stderr)
    const [next = ''] = (await readFile(join(daemon.folder, 'state/caller-token'), 'utf8')).split('\n')
    assert.ok(!rotated.stdout.includes(next), 'the command does not print it')
    await eventually('the new token is good', async () => (await pull(next)) === 200, 30_000)
    assert.equal(await pull(before), 200)
    assert.equal((await daemon.cli(['caller-token', 'retire'])).code, 0)
    await eventually('the old token is refused', async () => (await pull(before)) === 403, 30_000)
    assert.equal(await pull(next), 200)
  } finally {
    await daemon.close()
    await registry.close()
  }
})
