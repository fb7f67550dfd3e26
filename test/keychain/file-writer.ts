import { openFileKeychain } from '../../src/keychain/file.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import { countUp } from './sample.ts'

// A child of file.test.ts: counts one credential up for ever and prints each number once its update has been acknowledged.
const [path = '', keyFile = ''] = process.argv.slice(2)
const keychain = await openFileKeychain(path, await findKey(keyFile, {}))
for (let round = 0; round < 100_000; round += 1) {
  const stored = await keychain.update('r.example', countUp('r.example'))
  process.stdout.write(`${stored?.seq}\n`)
}
