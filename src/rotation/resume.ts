import { tell } from './act-journal.ts'
import type { Driver } from './driver.ts'
import type { RotationParts } from './parts.ts'
import { patiently } from './patience.ts'
import { activeRotation } from './plan.ts'
import { openActs, reconcile } from './reconcile.ts'
import { isDrivenHere } from './whose.ts'

/**
 * Takes up every rotation that an earlier process left, by what the keychain says, and tells the journal where it said something else.
 * Resolves when all are taken up. Never throws.
 */
export async function takeUpAll(parts: RotationParts, driver: Driver, signal: AbortSignal): Promise<void> {
  // A journal that cannot be read holds nobody up: what is staged is probed, what is committed is mirrored again.
  await parts.journal.ready().catch((thrown: unknown) => parts.onFault(thrown, { key: '*', rotation: undefined }))
  const keys = await patiently(parts, '*', undefined, () => parts.keychain.keys(), signal)
  const known = new Set<string>()
  await Promise.all(
    (keys ?? []).map((key) => patiently(parts, key, undefined, () => takeUp(parts, driver, key, known), signal)),
  )
  if (keys !== undefined && !signal.aborted) await tellOfLost(parts, known)
}

/** Takes up the rotations of one credential that are this node's to drive, and that it does not drive yet. */
export async function takeUp(
  parts: RotationParts,
  driver: Driver,
  key: string,
  known: Set<string> = new Set(),
): Promise<void> {
  const stored = await parts.keychain.get(key)
  for (const { id } of stored?.rotations ?? []) known.add(id)
  const committed = stored?.rotations.findLast(({ state }) => state === 'COMMITTED')
  for (const record of [activeRotation(stored), committed]) {
    if (record === undefined || !isDrivenHere(parts, record)) continue
    const subject = { key, rotation: record.id }
    try {
      for (const act of await reconcile(parts, key, record))
        parts.onNote(`it was ended in the middle of: ${act}`, subject)
    } catch (thrown) {
      parts.onFault(thrown, subject)
    }
    if (record.state !== 'STUCK') driver.drive(key, record.id, 'resumed')
  }
}

/** Rotations that were begun in the journal and that no item knows: they were never staged, or the keychain is an older one. */
async function tellOfLost(parts: RotationParts, known: Set<string>): Promise<void> {
  const rotations = new Map(parts.journal.all().map(({ rotation, key }) => [rotation, key]))
  for (const [rotation, key] of rotations) {
    if (known.has(rotation)) continue
    try {
      for (const act of openActs(parts.journal.of(rotation))) {
        await tell(parts, { key, rotation }, { act, outcome: 'the keychain knows nothing of it' })
      }
    } catch (thrown) {
      parts.onFault(thrown, { key, rotation })
      return
    }
  }
}
