import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { RegcreddError } from '../errors.ts'
import { contextOf } from './context.ts'
import { describeSteps } from './keychain-steps.ts'
import { KEY_FILE_OPTION, nameOf, type StoreConfig, storeConfig, withItems } from './keychain-store.ts'

type Options = {
  to: 'file' | 'os'
  path: string
  toKeyFile?: string
  service: string
  deleteSource?: true
  dryRun?: true
  keyFile?: string
}

export function addKeychainMigrate(group: Command): void {
  group
    .command('migrate')
    .description('copy all credentials into another store and read them back; goes on where an earlier run was cut off')
    .addOption(new Option('--to <store>', 'where to').choices(['file', 'os']).makeOptionMandatory())
    .option('--path <file>', 'of the store "file"', '/var/lib/regcredd/keychain.json')
    .option('--to-key-file <file>', 'its key (default: the systemd credential)')
    .option('--service <name>', 'of the store "os"', 'regcredd')
    .option('--delete-source', 'empty the present store, once all has been read back')
    .option('--dry-run', 'tell what would be done, and do nothing')
    .option(...KEY_FILE_OPTION)
    .action(async (options: Options, command: Command) => {
      const { configPath, show } = contextOf(command)
      const { config: from, seenFile } = await storeConfig(configPath, options.keyFile)
      const to = targetOf(options)
      checkTarget(from, to)
      const section = sectionOf(to, from)
      const dryRun = options.dryRun === true
      const source = options.deleteSource === true ? 'delete' : 'keep'
      const { migrate } = await import('../keychain/migrate.ts')
      const access = dryRun ? 'read' : 'write'
      const steps = await withItems(
        from,
        access,
        (given) => withItems(to, access, (target) => migrate(given, target, { source, dryRun })),
        seenFile,
      )
      const sourceDeleted = !dryRun && source === 'delete'
      show({ from: nameOf(from), to: nameOf(to), dryRun, sourceDeleted, steps, keychain: section }, (paint) => {
        const text = describeSteps(`from ${nameOf(from)} to ${nameOf(to)}`, steps, { dryRun }, paint)
        const next = `Now put this into the configuration, and start the daemon:\n"keychain": ${JSON.stringify(section)}`
        return dryRun ? text : `${text}\n\n${next}`
      })
    })
}

function targetOf({ to, path, toKeyFile, service }: Options): StoreConfig {
  if (to === 'os') return { store: 'os', service, timeoutMs: TIMEOUT_MS }
  const keyFile = toKeyFile === undefined ? {} : { keyFile: resolve(toKeyFile) }
  return { store: 'file', path: resolve(path), ...keyFile }
}

/** What to write into the configuration; how long a call may take is of the keyring, and how long a password is known of the node. */
function sectionOf(to: StoreConfig, { plaintextTtlMs }: StoreConfig): object {
  const section = to.store === 'os' ? { store: to.store, service: to.service } : to
  return plaintextTtlMs === undefined ? section : { ...section, plaintextTtlMs }
}

function checkTarget(from: StoreConfig, to: StoreConfig): void {
  if (nameOf(from) === nameOf(to)) throw new RegcreddError('USAGE', `the credentials are in ${nameOf(to)} already`)
  if (to.store === 'file' && to.keyFile === undefined && !process.env['CREDENTIALS_DIRECTORY'])
    throw new RegcreddError('USAGE', 'name the file with the key of the new store: --to-key-file FILE')
}

/** Nobody waits for a migration, and a keyring may ask its user first. */
const TIMEOUT_MS = 10_000
