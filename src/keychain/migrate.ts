import type { Items } from './items.ts'
import { type Mark, noMark } from './mark.ts'
import { planTransfer, refuseNewer, type Step, transfer } from './transfer.ts'

/**
 * Copies all items from one store into another, deletions too. The source is left as it is, unless `source` is `delete`: then it is
 * emptied, once all has been read back from the target. Run again after a crash, it goes on where that came.
 * Throws KEYCHAIN_NEWER, with nothing done, where the target holds something newer, and what either store throws.
 */
export async function migrate(
  from: Items,
  to: Items,
  { source, dryRun }: { source: 'keep' | 'delete'; dryRun: boolean },
  mark: Mark = noMark,
): Promise<Step[]> {
  const given = await from.readAll()
  const stored = await to.readAll()
  const steps = planTransfer(given, stored)
  if (dryRun) return steps
  refuseNewer(steps)
  await transfer(given, stored, steps, to, mark)
  if (source === 'delete') {
    for (const key of given.keys()) {
      mark('migrate: before a deletion')
      await from.write(key, undefined)
      mark('migrate: after a deletion')
    }
  }
  return steps
}
