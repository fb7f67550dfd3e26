import type { Config } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Items } from '../keychain/items.ts'

export const KEY_FILE_OPTION = [
  '--key-file <file>',
  'key of the file store, where the service gets it as a systemd credential and this command does not',
] as const

/** The keychain that the configuration names, with the key file of the command line. Throws CONFIG_INVALID, USAGE. */
export async function storeConfig(configPath: string, keyFile: string | undefined): Promise<Config['keychain']> {
  // Not before it is needed: both cost more than a command that asks the daemon.
  const { loadConfig } = await import('../config/load.ts')
  const { keychain } = await loadConfig(configPath)
  if (keychain.store === 'memory')
    throw new RegcreddError(
      'USAGE',
      'the store "memory" lives in the daemon and ends with it; there is nothing to be done to it',
    )
  if (keyFile === undefined) return keychain
  if (keychain.store !== 'file')
    throw new RegcreddError('USAGE', `--key-file is for the store "file", and this is "${keychain.store}"`)
  return { ...keychain, keyFile }
}

/** Opens a store for as long as `work` takes. */
export async function withItems<T>(
  config: Config['keychain'],
  access: 'read' | 'write',
  work: (items: Items) => Promise<T>,
): Promise<T> {
  const { openItems } = await import('../keychain/open.ts')
  const items = await openItems(config, process.env, { access })
  try {
    return await work(items)
  } finally {
    await items.close()
  }
}

/** What to call a store in a sentence. */
export function nameOf(config: Config['keychain']): string {
  if (config.store === 'file') return config.path
  return config.store === 'os' ? `the keyring (service "${config.service}")` : config.store
}
