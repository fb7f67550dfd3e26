import { createHelperProcess } from '../../src/keychain/os-process.ts'

// A child of os-process.test.ts: a daemon that holds a helper process until it is killed.
const helper = createHelperProcess({ timeoutMs: 5_000, environment: process.env })
await helper.call({ do: 'get', service: 'regcredd-test', account: 'none' })
process.stdout.write(`${helper.pid()}\n`)
setTimeout(() => undefined, 60_000)
