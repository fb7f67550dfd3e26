import { createHelperProcess } from '../../src/keychain/os-process.ts'

// A child of os-process.test.ts: a daemon that asks the keyring over and over until it is killed. Prints the pid of its helper.
const helper = createHelperProcess({ timeoutMs: 60_000, environment: process.env })
for (let count = 0; count < 1_000_000; count += 1) {
  await helper.call({ do: 'get', service: 'regcredd-test', account: 'none' })
  if (count === 0) process.stdout.write(`${helper.pid()}\n`)
}
