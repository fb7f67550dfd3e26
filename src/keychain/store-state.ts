import { type RegcreddError, toRegcreddError } from '../errors.ts'
import type { KeychainState } from './keychain.ts'

/** What a reading of the store says of it. Never throws: whatever hinders the reading makes the store unavailable. */
export async function storeState(read: () => Promise<unknown>): Promise<KeychainState> {
  try {
    await read()
    return 'ready'
  } catch (thrown) {
    return stateAfter(toRegcreddError(thrown))
  }
}

/** The state of a store whose reading or writing ended with this error. */
export function stateAfter(error: RegcreddError): KeychainState {
  return error.code === 'KEYCHAIN_LOCKED' ? 'locked' : 'unavailable'
}
