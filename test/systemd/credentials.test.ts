import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { readCredential } from '../../src/systemd/credentials.ts'

it('a credential of the unit is read as a secret', async (t) => {
  const environment = await unit(t)
  await writeFile(join(environment.CREDENTIALS_DIRECTORY, 'keychain-key'), 'grüße\n', { mode: 0o440 })
  const secret = await readCredential('keychain-key', environment)
  assert.equal(secret?.reveal(), 'grüße\n')
  assert.equal(`${secret}`, '[redacted]')
})

it('a process without credentials, or without this one, has none', async (t) => {
  assert.equal(await readCredential('keychain-key', {}), undefined)
  assert.equal(await readCredential('keychain-key', { CREDENTIALS_DIRECTORY: '' }), undefined)
  assert.equal(await readCredential('keychain-key', await unit(t)), undefined)
})

it('a name that would leave the folder is refused', async (t) => {
  const environment = await unit(t)
  await writeFile(join(environment.CREDENTIALS_DIRECTORY, 'x'), 'y')
  for (const name of ['../x', '/etc/passwd', '..', '.', '', 'a/b', 'a\0b']) {
    await assert.rejects(readCredential(name, environment), RangeError)
  }
})

it('a credential that is no text, too large or no file is an error, never an absence', async (t) => {
  const environment = await unit(t)
  const path = join(environment.CREDENTIALS_DIRECTORY, 'x')
  await writeFile(path, Buffer.from([0xff, 0xfe, 0x00]))
  await assert.rejects(readCredential('x', environment), { code: 'CONFIG_INVALID' })
  await writeFile(path, Buffer.alloc(1024 * 1024 + 1, 'a'))
  await assert.rejects(readCredential('x', environment), { code: 'CONFIG_INVALID' })
  await rm(path)
  await mkdir(path)
  await assert.rejects(readCredential('x', environment), { code: 'CONFIG_INVALID' })
})

async function unit(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-systemd-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return { CREDENTIALS_DIRECTORY: folder }
}
