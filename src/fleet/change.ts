import type { Credential } from '../keychain/credential.ts'
import { continueAfter, type Entry, tombstoneOf } from '../keychain/tombstone.ts'

/** What is to be held after a change; undefined where there is nothing before and after it. What it begins is `node`'s to drive. Throws what `change` throws. */
export function changeEntry(
  base: Entry | undefined,
  change: (stored: Credential | undefined) => Credential | undefined,
  node: string,
): Entry | undefined {
  const before = base !== undefined && 'credential' in base ? base.credential : undefined
  const after = change(before)
  if (after === undefined) return before === undefined ? base : { tombstone: tombstoneOf(before) }
  const isAfterDeletion = base !== undefined && 'tombstone' in base
  return claim({ credential: isAfterDeletion ? continueAfter(base.tombstone, after) : after }, before, node)
}

/** Rotations that are new since `before` and that nobody drives yet are `node`'s. */
export function claim(entry: Entry, before: Credential | undefined, node: string): Entry {
  if ('tombstone' in entry) return entry
  const known = new Set(before?.rotations.map(({ id }) => id))
  const rotations = entry.credential.rotations.map((record) => (known.has(record.id) ? record : { node, ...record }))
  return { credential: { ...entry.credential, rotations } }
}
