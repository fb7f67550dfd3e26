import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { openKeychain } from '../../src/keychain/open.ts'
import { makeKeyFile } from './key.ts'
import { passwordOf, sample, stateOf } from './sample.ts'
import { tempFolder } from './temp-folder.ts'

const KEY = 'r.example'

it('each store of the config is opened as itself', async (t) => {
  const folder = await tempFolder(t)
  const keyFile = join(folder, 'key')
  await makeKeyFile(keyFile)
  const file = { store: 'file', path: join(folder, 'keychain.json'), keyFile } as const
  const configs = [{ store: 'memory' }, file, { store: 'os', service: 'regcredd-test', timeoutMs: 2_000 }] as const
  for (const config of configs) {
    const keychain = await openKeychain(config, {})
    assert.equal(keychain.store, config.store)
    await keychain.close()
  }
  const written = await openKeychain(file, {})
  await written.update(KEY, () => sample(KEY, 'by config'))
  await written.close()
  assert.equal(passwordOf(await (await openKeychain(file, {})).get(KEY)), 'by config')
})

it('no store stands in for one that cannot be had', async (t) => {
  const folder = await tempFolder(t)
  const path = join(folder, 'keychain.json')
  await assert.rejects(openKeychain({ store: 'file', path, keyFile: undefined }, {}), { code: 'KEYCHAIN_UNAVAILABLE' })
  await assert.rejects(openKeychain({ store: 'file', path, keyFile: join(folder, 'none') }, {}), {
    code: 'KEYCHAIN_UNAVAILABLE',
  })
  const keychain = await openKeychain({ store: 'os', service: 'regcredd-test', timeoutMs: 2_000 }, {})
  assert.equal(await stateOf(keychain), 'unavailable')
  await assert.rejects(keychain.get(KEY), { code: 'KEYCHAIN_UNAVAILABLE' })
  await keychain.close()
})
