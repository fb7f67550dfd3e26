import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { PASSPHRASE_OPTIONS, type PassphraseOptions, readPassphrase } from './keychain-passphrase.ts'
import { describeSteps } from './keychain-steps.ts'
import { KEY_FILE_OPTION, nameOf, storeConfig, withItems } from './keychain-store.ts'

type Options = PassphraseOptions & { keyFile?: string; older?: true; dryRun?: true }

export function addKeychainRestore(group: Command): void {
  group
    .command('restore')
    .argument('<file>', 'what `keychain backup` wrote, of this or an earlier version')
    .description('put the credentials of a backup into the store; what is there beside them stays')
    .option(...PASSPHRASE_OPTIONS.file)
    .option(...PASSPHRASE_OPTIONS.stdin)
    .option('--dry-run', 'tell what would be done, and do nothing; the daemon may run')
    .option('--older', 'put older content in the place of newer, too; as a change after it, so that seq still grows')
    .option(...KEY_FILE_OPTION)
    .action(async (path: string, options: Options, command: Command) => {
      const { configPath, show } = contextOf(command)
      const { config } = await storeConfig(configPath, options.keyFile)
      const passphrase = await readPassphrase(options)
      const { restore } = await import('../keychain/backup.ts')
      const dryRun = options.dryRun === true
      const older = options.older === true ? 'replace' : 'refuse'
      const done = await withItems(config, dryRun ? 'read' : 'write', (items) =>
        restore({ path, passphrase }, items, { older, dryRun }),
      )
      const { createdAt = null, host = null, steps } = done
      show({ file: path, createdAt, host, dryRun, steps }, (paint) => {
        const origin = createdAt === null ? '' : ` of ${createdAt} on ${host}`
        return describeSteps(`${path}${origin}, into ${nameOf(config)}`, steps, { dryRun }, paint)
      })
    })
}
