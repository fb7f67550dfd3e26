import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { RegcreddError } from '../errors.ts'
import { contextOf } from './context.ts'
import { describeSteps } from './keychain-steps.ts'
import {
  KEY_FILE_OPTION,
  nameOf,
  type PresentStore,
  type StoreConfig,
  storeConfig,
  withItems,
} from './keychain-store.ts'

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
      const present = await storeConfig(configPath, options.keyFile)
      const { config: from, seenFile } = present
      const to = targetOf(options)
      checkTarget(from, to)
      const section = sectionOf(to, present)
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
        const left = sourceDeleted ? 'holds nothing any more' : 'is as it was, passwords and all'
        const next = `Now put this into the configuration, and start the daemon:\n"keychain": ${JSON.stringify(section)}`
        return dryRun ? text : `${text}\n\n${nameOf(from)} ${left}. ${next}${'keyFile' in section ? KEY_NOTE : ''}`
      })
    })
}

function targetOf({ to, path, toKeyFile, service }: Options): StoreConfig {
  if (to === 'os') return { store: 'os', service, timeoutMs: TIMEOUT_MS }
  const keyFile = toKeyFile === undefined ? {} : { keyFile: resolve(toKeyFile) }
  return { store: 'file', path: resolve(path), ...keyFile }
}

/** What to write into the configuration. How long a password is known goes with the node, how long a call may take with the keyring. */
function sectionOf(to: StoreConfig, { config, handedKeyFile }: PresentStore): object {
  const { plaintextTtlMs } = config
  const kept = plaintextTtlMs === undefined ? {} : { plaintextTtlMs }
  if (to.store === 'os') return { store: to.store, service: to.service, ...kept }
  const { store, path, keyFile } = to
  // Who is handed a key may not be able to read its file.
  return keyFile === undefined || keyFile === handedKeyFile
    ? { store, path, ...kept }
    : { store, path, keyFile, ...kept }
}

function checkTarget(from: StoreConfig, to: StoreConfig): void {
  if (nameOf(from) === nameOf(to)) throw new RegcreddError('USAGE', `the credentials are in ${nameOf(to)} already`)
  if (to.store === 'file' && to.keyFile === undefined && !process.env['CREDENTIALS_DIRECTORY'])
    throw new RegcreddError('USAGE', 'name the file with the key of the new store: --to-key-file FILE')
}

const KEY_NOTE =
  '\nThe user of the daemon must be able to read keyFile; leave it out where the service is handed the key as a credential.'

/** Nobody waits for a migration, and a keyring may ask its user first. */
const TIMEOUT_MS = 10_000
