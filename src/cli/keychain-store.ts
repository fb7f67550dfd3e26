import { resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Items } from '../keychain/items.ts'

export const KEY_FILE_OPTION = [
  '--key-file <file>',
  'key of the file store, where the service gets it as a systemd credential and this command does not',
] as const

export type StoreConfig = Exclude<Config['keychain'], { store: 'memory' }>

export type PresentStore = {
  /** The keychain that the configuration names, with the key file of the command line. */
  config: StoreConfig
  /** Where the daemon remembers that a keyring has held its items. */
  seenFile: string
  /** The file of the key that the service is handed as a credential, where the configuration names none. */
  handedKeyFile?: string
}

/** Where the credentials are now. Throws CONFIG_INVALID, USAGE. */
export async function storeConfig(configPath: string, keyFile: string | undefined): Promise<PresentStore> {
  // Not before it is needed: both cost more than a command that asks the daemon.
  const { loadConfig } = await import('../config/load.ts')
  const { witnessPath } = await import('../keychain/witness.ts')
  const { keychain, proxy } = await loadConfig(configPath)
  const seenFile = witnessPath(proxy.callerTokenFile)
  if (keychain.store === 'memory')
    throw new RegcreddError(
      'USAGE',
      'the store "memory" lives in the daemon and ends with it; there is nothing to be done to it',
    )
  if (keyFile === undefined) return { config: keychain, seenFile }
  if (keychain.store !== 'file')
    throw new RegcreddError('USAGE', `--key-file is for the store "file", and this is "${keychain.store}"`)
  const handed = keychain.keyFile === undefined ? { handedKeyFile: resolve(keyFile) } : {}
  return { config: { ...keychain, keyFile }, seenFile, ...handed }
}

/** Opens a store for as long as `work` takes; with `seenFile`, a keyring that was emptied is not taken for an empty one. */
export async function withItems<T>(
  config: StoreConfig,
  access: 'read' | 'write',
  work: (items: Items) => Promise<T>,
  seenFile?: string,
): Promise<T> {
  const { openItems } = await import('../keychain/open.ts')
  // Whether that file can be written is the daemon's to tell.
  const witness = seenFile === undefined ? {} : { witness: { path: seenFile, onFault: () => undefined } }
  const items = await openItems(config, process.env, { access, ...witness })
  try {
    return await work(items)
  } finally {
    await items.close()
  }
}

/** What to call a store in a sentence. */
export function nameOf(config: StoreConfig): string {
  return config.store === 'file' ? config.path : `the keyring (service "${config.service}")`
}
