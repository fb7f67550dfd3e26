import { type Credential, versionOf } from '../keychain/credential.ts'
import { type Entry, formatEntry, parseEntry, seqOf } from '../keychain/tombstone.ts'
import type { Secret } from '../secret.ts'

/**
 * How what the fleet holds stands to what this node holds. `same`: to the byte. `alike`: as old, and lends the same logins; only what is told of
 * rotations differs. `newer` and `older` go by `seq` alone, so that the newer one wins everywhere, whoever comes when. `forked`: as old, and another.
 */
export type Relation = 'same' | 'alike' | 'newer' | 'older' | 'forked'

export function compareEntries(key: string, theirs: Entry, ours: Entry | undefined): Relation {
  if (ours === undefined) return 'newer'
  const [theirSeq, ourSeq] = [seqOf(theirs), seqOf(ours)]
  if (theirSeq !== ourSeq) return theirSeq > ourSeq ? 'newer' : 'older'
  if (isSameEntry(key, theirs, ours)) return 'same'
  if ('tombstone' in theirs || 'tombstone' in ours) return 'forked'
  return lendAlike(theirs.credential, ours.credential) ? 'alike' : 'forked'
}

/** Further than any node could fall behind while it was off. */
const MAX_STEP = 2 ** 20
/** For a node that holds nothing yet. */
const MAX_FIRST = 2 ** 30

/**
 * Whether the fleet can have come from what this node holds to this `seq`. Whoever may write the canonical Secret could else lead all nodes at once to
 * the last number that there is, after which none of them could log in, out or rotate.
 */
export function isWithinReach(theirs: Entry, ours: Entry | undefined): boolean {
  return seqOf(theirs) <= (ours === undefined ? MAX_FIRST : seqOf(ours) + MAX_STEP)
}

export function isSameEntry(key: string, one: Entry, other: Entry): boolean {
  return normal(key, one).equals(normal(key, other))
}

/** A login puts a version into force that was not there before, and a logout leaves none: both say which of two is to be, whatever each held. */
export function settlesFork(base: Entry, next: Entry): boolean {
  if ('tombstone' in next) return true
  const known = 'tombstone' in base ? [] : base.credential.versions
  const { current } = next.credential
  return current !== undefined && !known.some(({ id }) => id === current)
}

function lendAlike(one: Credential, other: Credential): boolean {
  return (['current', 'pending', 'previous'] as const).every((label) => {
    const [a, b] = [versionOf(one, label), versionOf(other, label)]
    if (a === undefined || b === undefined) return a === b
    return a.username === b.username && a.email === b.email && a.secret.equals(b.secret)
  })
}

/** One text for equal content, in whatever order its fields were set. */
function normal(key: string, entry: Entry): Secret {
  return formatEntry(key, parseEntry(key, formatEntry(key, entry)))
}
