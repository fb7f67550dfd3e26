import assert from 'node:assert/strict'
import { chmod, chown, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openFileKeychain } from '../../src/keychain/file.ts'
import { findKey, parseKeys } from '../../src/keychain/key-file.ts'
import { rekey } from '../../src/keychain/rekey.ts'
import { makeKeyFile } from './key.ts'
import { passwordOf, sample } from './sample.ts'
import { tempFolder } from './temp-folder.ts'

const KEY = 'r.example'

async function setUp(t: TestContext) {
  const folder = await tempFolder(t)
  const [path, keyFile] = [join(folder, 'keychain.json'), join(folder, 'key')]
  await makeKeyFile(keyFile)
  const open = async () => openFileKeychain(path, await findKey(keyFile, {}))
  const keychain = await open()
  await keychain.update(KEY, () => sample(KEY, 'kept'))
  await keychain.close()
  const files = async () => [await readFile(path, 'utf8'), await readFile(keyFile, 'utf8')]
  return { folder, path, keyFile, open, files }
}

test('a rekey leaves one new key, by which all is read and the old one opens nothing', async (t) => {
  const { path, keyFile, open, files, folder } = await setUp(t)
  const [storeBefore = '', keyBefore = ''] = await files()
  const done = await rekey(path, keyFile)
  const [storeAfter = '', keyAfter = ''] = await files()
  assert.deepEqual([done.credentials, done.resumed, done.keyId], [1, false, JSON.parse(storeAfter).keyId])
  assert.deepEqual(done.formerKeyIds, [JSON.parse(storeBefore).keyId])
  assert.match(keyAfter, /^[A-Za-z0-9+/]{43}=\n$/)
  assert.notEqual(keyAfter, keyBefore)
  assert.equal((await stat(keyFile)).mode & 0o7777, 0o600)
  const keychain = await open()
  assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
  await keychain.close()
  await writeFile(join(folder, 'old'), keyBefore, { mode: 0o600 })
  const withOld = await openFileKeychain(path, await findKey(join(folder, 'old'), {}))
  await assert.rejects(withOld.get(KEY), { code: 'KEYCHAIN_UNAVAILABLE', message: /was encrypted with the key/ })
})

test('a rekey refuses, and touches nothing, while a daemon has the file, with a wrong key, and with a key that others may read', async (t) => {
  const { path, keyFile, open, files } = await setUp(t)
  const before = await files()
  const daemon = await open()
  await assert.rejects(rekey(path, keyFile), {
    code: 'KEYCHAIN_UNAVAILABLE',
    message: /another daemon uses .* stop the daemon/,
  })
  assert.deepEqual(await files(), before)
  await daemon.close()
  await chmod(keyFile, 0o640)
  await assert.rejects(rekey(path, keyFile), { code: 'KEYCHAIN_UNAVAILABLE', message: /chmod 0600/ })
  await chmod(keyFile, 0o600)
  assert.deepEqual(await files(), before)
  await makeKeyFile(keyFile)
  const wrong = await files()
  await assert.rejects(rekey(path, keyFile), { code: 'KEYCHAIN_UNAVAILABLE', message: /was encrypted with the key/ })
  assert.deepEqual(await files(), wrong)
})

test('a rekey makes a new key although older keys are kept below the present one, and goes on with one that is not used yet', async (t) => {
  const { path, keyFile, open } = await setUp(t)
  const idsOf = async () => parseKeys(await findKey(keyFile, {})).map(({ id }) => id)
  const old = await readFile(keyFile, 'utf8')
  await makeKeyFile(keyFile)
  await writeFile(keyFile, `${(await readFile(keyFile, 'utf8')).trim()}\n${old}`)
  const [unused = '', used = ''] = await idsOf()
  const resumed = await rekey(path, keyFile)
  assert.deepEqual([resumed.resumed, resumed.keyId, resumed.formerKeyIds], [true, unused, [used]])
  await writeFile(keyFile, `${(await readFile(keyFile, 'utf8')).trim()}\n${old}`)
  const { resumed: isResumed, keyId, formerKeyIds } = await rekey(path, keyFile)
  assert.deepEqual([isResumed, formerKeyIds, await idsOf()], [false, [unused, used], [keyId]])
  const keychain = await open()
  assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
})

test('a rekey keeps the old key where the store is not there: its disk may come back', async (t) => {
  const { path, keyFile, files } = await setUp(t)
  const before = await files()
  await rename(path, `${path}.away`)
  await assert.rejects(rekey(path, keyFile), { code: 'KEYCHAIN_UNAVAILABLE', message: /cannot be read \(ENOENT\)/ })
  await rename(`${path}.away`, path)
  assert.deepEqual(await files(), before)
})

test('a rekey removes the keys that one which was killed has left beside the key file', async (t) => {
  const { path, keyFile, folder } = await setUp(t)
  await writeFile(`${keyFile}.0123456789abcdef.tmp`, await readFile(keyFile))
  await rekey(path, keyFile)
  assert.deepEqual((await readdir(folder)).sort(), ['key', 'keychain.json', 'keychain.json.lock'])
})

test('both files keep their owners when root rekeys', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const { path, keyFile } = await setUp(t)
  await chown(path, 65_534, 65_534)
  await rekey(path, keyFile)
  const owners = await Promise.all([path, keyFile].map(async (file) => (await stat(file)).uid))
  assert.deepEqual(owners, [65_534, 0])
})
