import { basename, join } from 'node:path'
import { backup, restore } from '../../src/keychain/backup.ts'
import { openFileItems } from '../../src/keychain/file.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import type { Mark } from '../../src/keychain/mark.ts'
import { migrate } from '../../src/keychain/migrate.ts'
import { openItems } from '../../src/keychain/open.ts'
import { rekey } from '../../src/keychain/rekey.ts'
import { Secret } from '../../src/secret.ts'

export const PASSPHRASE = new Secret('a passphrase for the tests')
/** The keychain of a place in a keyring; each place has a service name of its own. */
export const osConfig = (folder: string) =>
  ({ store: 'os', service: `regcredd-crash-${basename(folder)}`, timeoutMs: 30_000 }) as const

/** Does one thing to the file store in `folder`. */
export async function perform(folder: string, act: string, environment: NodeJS.ProcessEnv, mark: Mark): Promise<void> {
  const file = (name: string) => join(folder, name)
  if (act === 'rekey') {
    await rekey(file('keychain.json'), file('key'), mark)
    return
  }
  const open = async (name: string) => openFileItems(file(name), await findKey(file('key'), {}), { mark })
  if (act === 'migrate from the keyring') {
    const [from, to] = [await openItems(osConfig(folder), environment, { mark }), await open('keychain.json')]
    await migrate(from, to, { source: 'delete', dryRun: false }, mark)
    await from.close()
    await to.close()
    return
  }
  const items = await open('keychain.json')
  if (act === 'migrate' || act === 'migrate to the keyring') {
    const to = act === 'migrate' ? await open('target.json') : await openItems(osConfig(folder), environment, { mark })
    await migrate(items, to, { source: 'delete', dryRun: false }, mark)
    await to.close()
  } else if (act === 'backup') {
    const to = {
      path: file('new-backup'),
      passphrase: PASSPHRASE,
      createdAt: '2026-01-02T03:04:05.000Z',
      host: 'node-1',
    }
    await backup(items, to, 'refuse', mark)
  } else {
    const from = { path: file('backup'), passphrase: PASSPHRASE }
    await restore(from, items, { older: 'replace', dryRun: false }, mark)
  }
  await items.close()
}
