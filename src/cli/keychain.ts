import type { Command } from 'commander'
import { addKeychainBackup } from './keychain-backup.ts'
import { addKeychainCheck } from './keychain-check.ts'
import { addKeychainMigrate } from './keychain-migrate.ts'
import { addKeychainRekey } from './keychain-rekey.ts'
import { addKeychainRestore } from './keychain-restore.ts'

export function addKeychain(program: Command): void {
  const group = program
    .command('keychain')
    .description(
      'look after the store of the credentials itself; needs no daemon, and all but check and backup need it stopped',
    )
  addKeychainCheck(group)
  addKeychainBackup(group)
  addKeychainRestore(group)
  addKeychainMigrate(group)
  addKeychainRekey(group)
}
