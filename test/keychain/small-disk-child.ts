// A child of small-disk.test.ts, in a mount namespace of its own: its folder is a disk of 256 KiB.
import assert from 'node:assert/strict'
import { appendFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openFileItems } from '../../src/keychain/file.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import { createKeychain } from '../../src/keychain/keychain.ts'
import { rekey } from '../../src/keychain/rekey.ts'
import { passwordOf, sample } from './sample.ts'

const [folder = '', keyFile = ''] = process.argv.slice(2)
const path = join(folder, 'keychain.json')
const items = await openFileItems(path, await findKey(keyFile, {}))
const keychain = createKeychain(items)
await keychain.update('r.example', () => sample('r.example', 'kept'))
const ballast = join(folder, 'ballast')
for (const sizeBytes of [4096, 1]) {
  for (let turn = 0; turn < 5_000; turn += 1) {
    try {
      appendFileSync(ballast, Buffer.alloc(sizeBytes))
    } catch {
      break
    }
  }
}
const full = {
  code: 'KEYCHAIN_UNAVAILABLE',
  message: /cannot be written \(ENOSPC\); see that its folder and its disk are there, with room/,
}
const big = 'x'.repeat(20_000)
await assert.rejects(
  keychain.update('r.example', () => sample('r.example', big)),
  full,
)
await assert.rejects(
  keychain.update('b.example', () => sample('b.example', big)),
  full,
)
assert.equal(passwordOf(await keychain.get('r.example')), 'kept')
assert.deepEqual(readdirSync(folder).sort(), ['ballast', 'keychain.json', 'keychain.json.lock'])
await keychain.close()
await assert.rejects(rekey(path, keyFile), full)
const between = createKeychain(await openFileItems(path, await findKey(keyFile, {})))
assert.equal(passwordOf(await between.get('r.example')), 'kept')
await between.close()
rmSync(ballast)
assert.equal((await rekey(path, keyFile)).resumed, true)
const after = createKeychain(await openFileItems(path, await findKey(keyFile, {})))
assert.equal(passwordOf(await after.update('b.example', () => sample('b.example', 'written'))), 'written')
process.stdout.write('all held\n')
