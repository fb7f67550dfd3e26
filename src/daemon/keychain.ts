import { toRegcreddError } from '../errors.ts'
import { keepFresh } from '../keychain/keep-fresh.ts'
import { type KnownKeychain, keepKnown } from '../keychain/known.ts'
import { openKeychain } from '../keychain/open.ts'
import { witnessPath } from '../keychain/witness.ts'
import type { Base } from './part.ts'

/** Opens the keychain; one that is locked is opened too, and read when it can be. @throws KEYCHAIN_UNAVAILABLE, CONFIG_INVALID */
export async function startKeychain({ config, log, metrics, stack }: Base): Promise<KnownKeychain> {
  const plaintextTtlMs = config.keychain.store === 'memory' ? undefined : config.keychain.plaintextTtlMs
  const witness = {
    path: witnessPath(config.proxy.callerTokenFile),
    onFault: (thrown: unknown) =>
      log.warn({ err: toRegcreddError(thrown) }, 'it cannot be remembered that the keyring holds credentials'),
  }
  const opened = await openKeychain(config.keychain, process.env, { witness })
  const keychain = keepKnown(opened, { clock: Date.now, plaintextTtlMs })
  stack.defer(() => keychain.close())
  const fresh = await keepFresh(keychain, {
    onNews: (seen) => {
      metrics.keychainState({ store: keychain.store, isReady: seen.state === 'ready' })
      log[seen.state === 'ready' && seen.code === undefined ? 'info' : 'error']({ ...seen }, 'keychain')
    },
  })
  stack.defer(() => fresh.close())
  return keychain
}
