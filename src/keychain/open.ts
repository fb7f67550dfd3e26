import type { Config } from '../config/config.ts'
import { type FileOptions, openFileItems } from './file.ts'
import type { Items } from './items.ts'
import { findKey } from './key-file.ts'
import { createKeychain, type Keychain } from './keychain.ts'
import { createMemoryItems } from './memory.ts'
import { createOsItems } from './os.ts'
import { createHelperProcess } from './os-process.ts'
import { createLockProbe } from './secret-service.ts'
import { openWitness } from './witness.ts'

export type OpenOptions = FileOptions & {
  /** Where it is remembered that a keyring has held our items, and who hears that it cannot be written. */
  witness?: { path: string; onFault: (thrown: unknown) => void }
}

/**
 * Opens the one keychain that the config names; none stands in for another. Throws KEYCHAIN_UNAVAILABLE or CONFIG_INVALID when the
 * key of the file store cannot be had. Whether the store itself can be read shows with the first call: a daemon starts while it is locked.
 */
export async function openKeychain(
  config: Config['keychain'],
  environment: NodeJS.ProcessEnv,
  options: OpenOptions = {},
): Promise<Keychain> {
  return createKeychain(await openItems(config, environment, options))
}

/** As `openKeychain`, below credentials; with `access: 'read'` beside a daemon that has it open, too. */
export async function openItems(
  config: Config['keychain'],
  environment: NodeJS.ProcessEnv,
  options: OpenOptions = {},
): Promise<Items> {
  switch (config.store) {
    case 'memory':
      return createMemoryItems()
    case 'file':
      return openFileItems(config.path, await findKey(config.keyFile, environment), options)
    case 'os': {
      const { service, timeoutMs } = config
      const helper = createHelperProcess({ timeoutMs, environment })
      // Only the Secret Service mistakes "locked" for "absent"; the keychain of macOS asks its user, or refuses.
      const probe = process.platform === 'linux' ? createLockProbe(environment) : undefined
      const seen = options.witness
      const witness = seen && (await openWitness(seen.path, service, seen.onFault))
      const { access, mark } = options
      return createOsItems({ service, timeoutMs, helper, probe, witness, access, mark })
    }
  }
}
