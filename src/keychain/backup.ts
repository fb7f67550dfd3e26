import { access, readFile } from 'node:fs/promises'
import { errnoOf, RegcreddError } from '../errors.ts'
import { replaceFile } from '../replace-file.ts'
import type { Secret } from '../secret.ts'
import { openBackup, sealBackup } from './backup-file.ts'
import type { Items } from './items.ts'
import { type Mark, noMark } from './mark.ts'
import { entryOrFault } from './tombstone.ts'
import { planTransfer, refuseNewer, type Step, transfer } from './transfer.ts'

export type BackedUp = { credentials: number; deletions: number; broken: string[] }

/**
 * Writes all items of a store into a new encrypted file of mode 0600. An item that cannot be read stops it, unless `broken` is `skip`.
 * Throws what the store throws, USAGE where the file is there already or the store holds nothing, BACKUP_UNWRITABLE.
 */
export async function backup(
  items: Items,
  to: { path: string; passphrase: Secret; createdAt: string; host: string },
  broken: 'refuse' | 'skip',
  mark: Mark = noMark,
): Promise<BackedUp> {
  const unwritable = (cause: unknown) =>
    new RegcreddError('BACKUP_UNWRITABLE', `${to.path} cannot be written (${errnoOf(cause) ?? 'unknown'})`, { cause })
  if (await exists(to.path, unwritable))
    throw new RegcreddError('USAGE', `${to.path} is there already; name a new file`)
  const texts = await items.readAll()
  // It would pass for a good one until the day it is needed.
  if (texts.size === 0)
    throw new RegcreddError('USAGE', 'the keychain holds nothing to back up; is it the one that is meant?')
  const done: BackedUp = { credentials: 0, deletions: 0, broken: [] }
  for (const [key, text] of texts) {
    const read = entryOrFault(key, text)
    if (!(read instanceof RegcreddError)) done['tombstone' in read ? 'deletions' : 'credentials'] += 1
    else if (broken === 'refuse') throw read
    else {
      done.broken.push(key)
      texts.delete(key)
    }
  }
  const sealed = await sealBackup(texts, to.passphrase, to)
  await replaceFile(to.path, sealed, mark).catch((cause: unknown) => {
    throw unwritable(cause)
  })
  return done
}

export type Restored = { createdAt: string | undefined; host: string | undefined; steps: Step[] }

/**
 * Puts the items of a backup into a store; what the store holds beside them is kept. Without `older: 'replace'` nothing is done where
 * the store holds something newer. With `dryRun` nothing is done at all. Throws BACKUP_UNREADABLE, KEYCHAIN_NEWER and what the store throws.
 */
export async function restore(
  from: { path: string; passphrase: Secret },
  target: Items,
  { older, dryRun }: { older: 'refuse' | 'replace'; dryRun: boolean },
  mark: Mark = noMark,
): Promise<Restored> {
  const text = await readFile(from.path, 'utf8').catch((cause: unknown) => {
    throw new RegcreddError('BACKUP_UNREADABLE', `${from.path} cannot be read (${errnoOf(cause) ?? 'unknown'})`, {
      cause,
    })
  })
  const { items, origin } = await openBackup(text, from.passphrase)
  const stored = await target.readAll()
  const steps = planTransfer(items, stored)
  if (!dryRun) {
    if (older === 'refuse') refuseNewer(steps)
    await transfer(items, stored, steps, target, mark)
  }
  return { ...origin, steps }
}

async function exists(path: string, orElse: (cause: unknown) => RegcreddError): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw orElse(error)
  }
}
