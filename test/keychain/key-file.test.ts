import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { openFileKeychain } from '../../src/keychain/file.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import { makeKeyFile } from './key.ts'
import { passwordOf, sample } from './sample.ts'
import { tempFolder } from './temp-folder.ts'

const KEY = 'r.example'

it('a key is refused when others may read or write its file', async (t) => {
  const keyFile = join(await tempFolder(t), 'key')
  await makeKeyFile(keyFile)
  for (const mode of [0o640, 0o604, 0o660, 0o620, 0o700, 0o4600]) {
    await chmod(keyFile, mode)
    await assert.rejects(findKey(keyFile, {}), {
      code: 'KEYCHAIN_UNAVAILABLE',
      message: /has mode 0?[0-7]{4}; chmod 0600/,
    })
  }
  for (const mode of [0o600, 0o400]) {
    await chmod(keyFile, mode)
    await findKey(keyFile, {})
  }
})

it('a key is refused when it is missing, too short, too long or not base64, and is never shown', async (t) => {
  const folder = await tempFolder(t)
  await assert.rejects(findKey(join(folder, 'none'), {}), {
    code: 'KEYCHAIN_UNAVAILABLE',
    message: /\(ENOENT\).*make one with: head -c 32/,
  })
  const short = Buffer.alloc(31, 7).toString('base64')
  const long = Buffer.alloc(33, 7).toString('base64')
  const loose = `${Buffer.alloc(32, 7).toString('base64').slice(0, -2)}!=`
  for (const text of ['', short, long, loose, 'a'.repeat(2000)]) {
    const keyFile = join(folder, 'key')
    await writeFile(keyFile, text, { mode: 0o600 })
    const opening = findKey(keyFile, {}).then((key) => openFileKeychain(join(folder, 'keychain.json'), key))
    await assert.rejects(opening, (error: Error) => {
      assert.ok(text === '' || !error.message.includes(text))
      return 'code' in error && error.code === 'KEYCHAIN_UNAVAILABLE'
    })
  }
})

it('the key comes from the systemd credential when no file is named', async (t) => {
  const folder = await tempFolder(t)
  await assert.rejects(findKey(undefined, {}), { code: 'KEYCHAIN_UNAVAILABLE', message: /keychain-key/ })
  await assert.rejects(findKey(undefined, { CREDENTIALS_DIRECTORY: folder }), { code: 'KEYCHAIN_UNAVAILABLE' })
  await makeKeyFile(join(folder, 'keychain-key'))
  const key = await findKey(undefined, { CREDENTIALS_DIRECTORY: folder })
  const keychain = await openFileKeychain(join(folder, 'keychain.json'), key)
  await keychain.update(KEY, () => sample(KEY, 'by credential'))
  assert.equal(passwordOf(await keychain.get(KEY)), 'by credential')
})
