import type { Config } from '../config/config.ts'
import { openFileKeychain } from './file.ts'
import { findKey } from './key-file.ts'
import type { Keychain } from './keychain.ts'
import { createMemoryKeychain } from './memory.ts'
import { createOsKeychain } from './os.ts'
import { createHelperProcess } from './os-process.ts'
import { createLockProbe } from './secret-service.ts'

/**
 * Opens the one keychain that the config names; none stands in for another. Throws KEYCHAIN_UNAVAILABLE or CONFIG_INVALID when the
 * key of the file store cannot be had. Whether the store itself can be read shows with the first call: a daemon starts while it is locked.
 */
export async function openKeychain(config: Config['keychain'], environment: NodeJS.ProcessEnv): Promise<Keychain> {
  switch (config.store) {
    case 'memory':
      return createMemoryKeychain()
    case 'file':
      return openFileKeychain(config.path, await findKey(config.keyFile, environment))
    case 'os': {
      const { service, timeoutMs } = config
      const helper = createHelperProcess({ timeoutMs, environment })
      // Only the Secret Service mistakes "locked" for "absent"; the keychain of macOS asks its user, or refuses.
      const probe = process.platform === 'linux' ? createLockProbe(environment) : undefined
      return createOsKeychain({ service, timeoutMs, helper, probe })
    }
  }
}
