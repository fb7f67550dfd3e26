import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import { describeKeychain } from './conformance.ts'

describeKeychain({
  name: 'memory',
  durable: false,
  open: async () => ({ keychain: createMemoryKeychain(), reopen: async () => createMemoryKeychain() }),
})
