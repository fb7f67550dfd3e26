import { hostname } from 'node:os'
import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { PASSPHRASE_OPTIONS, type PassphraseOptions, readNewPassphrase } from './keychain-passphrase.ts'
import { KEY_FILE_OPTION, storeConfig, withItems } from './keychain-store.ts'

type Options = PassphraseOptions & { keyFile?: string; skipBroken?: true }

export function addKeychainBackup(group: Command): void {
  group
    .command('backup')
    .argument('<file>', 'a new file, mode 0600')
    .description('write all credentials into an encrypted file; the daemon may run')
    .option(...PASSPHRASE_OPTIONS.file)
    .option(...PASSPHRASE_OPTIONS.stdin)
    .option('--skip-broken', 'leave out items that cannot be read')
    .option(...KEY_FILE_OPTION)
    .action(async (path: string, options: Options, command: Command) => {
      const { configPath, show } = contextOf(command)
      const { config, seenFile } = await storeConfig(configPath, options.keyFile)
      const passphrase = await readNewPassphrase(options)
      const { backup } = await import('../keychain/backup.ts')
      const createdAt = new Date().toISOString()
      const to = { path, passphrase, createdAt, host: hostname() }
      const broken = options.skipBroken === true ? 'skip' : 'refuse'
      const done = await withItems(config, 'read', (items) => backup(items, to, broken), seenFile)
      show({ file: path, createdAt, ...done }, (paint) => {
        const left = done.broken.length === 0 ? '' : paint('red', `; left out: ${done.broken.join(', ')}`)
        return `${path}: ${done.credentials} credentials and ${done.deletions} deletions${left}. It opens with its passphrase alone: keep the two apart.`
      })
    })
}
