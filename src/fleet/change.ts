import type { Credential } from '../keychain/credential.ts'
import { credentialOf, type Entry, entryAfter } from '../keychain/tombstone.ts'

/** As `entryAfter`; what the change begins is `node`'s to drive. */
export function changeEntry(
  base: Entry | undefined,
  change: (stored: Credential | undefined) => Credential | undefined,
  node: string,
): Entry | undefined {
  const next = entryAfter(base, change)
  return next && claim(next, credentialOf(base), node)
}

/** Rotations that are new since `before` and that nobody drives yet are `node`'s. */
export function claim(entry: Entry, before: Credential | undefined, node: string): Entry {
  if ('tombstone' in entry) return entry
  const known = new Set(before?.rotations.map(({ id }) => id))
  const rotations = entry.credential.rotations.map((record) => (known.has(record.id) ? record : { node, ...record }))
  return { credential: { ...entry.credential, rotations } }
}
