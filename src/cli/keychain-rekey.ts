import type { Command } from 'commander'
import { RegcreddError } from '../errors.ts'
import { contextOf } from './context.ts'
import { KEY_FILE_OPTION, storeConfig } from './keychain-store.ts'

export function addKeychainRekey(group: Command): void {
  group
    .command('rekey')
    .description('encrypt the file store with a new key; goes on where an earlier run was cut off')
    .option(...KEY_FILE_OPTION)
    .action(async (options: { keyFile?: string }, command: Command) => {
      const { configPath, show } = contextOf(command)
      const { config } = await storeConfig(configPath, options.keyFile)
      if (config.store !== 'file')
        throw new RegcreddError(
          'USAGE',
          'only the store "file" has a key of ours; a keyring has its own tool for its password',
        )
      const { path, keyFile } = config
      if (keyFile === undefined)
        throw new RegcreddError(
          'USAGE',
          'name the file that the systemd credential comes from: --key-file FILE; docs/keychain.md has the way for a sealed one',
        )
      const { rekey } = await import('../keychain/rekey.ts')
      const done = await rekey(path, keyFile)
      show({ path, keyFile, ...done }, (paint) => {
        const how = done.resumed ? ', going on with the new key of an earlier run' : ''
        return `${path}: ${done.credentials} items are ${paint('green', 'encrypted')} with the key ${done.keyId}${how}; ${keyFile} holds no other. A backup of the old key opens older copies of the file only.`
      })
    })
}
