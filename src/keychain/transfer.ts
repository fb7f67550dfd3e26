import { RegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { type Credential, versionOf } from './credential.ts'
import { formatItem } from './item.ts'
import type { Items } from './items.ts'
import { type Mark, noMark } from './mark.ts'
import { continueAfter, type Entry, entryOrFault, highestVersion, parseEntry, seqOf } from './tombstone.ts'

/**
 * What becomes of one item when items are put into a store: `add` where it holds none, `raise` where it holds an older one, `mend`
 * where it holds one that cannot be read. `back`: it holds a newer one, another one of the same seq, or one of a lower seq whose
 * password is of a later time. `same` and `keep` change nothing.
 */
export type Step = {
  key: string
  do: 'add' | 'raise' | 'mend' | 'back' | 'same' | 'keep'
  /** `seq` in the store now, and of what would be put in. `undefined`: not there, or not to be read. */
  has: number | undefined
  gets: number | undefined
  isDeletion: boolean
}

/** Decides for each item; acts on nothing. Sorted by key. Throws KEYCHAIN_CORRUPT for an item to put in that cannot be read. */
export function planTransfer(given: Map<string, Secret>, stored: Map<string, Secret>): Step[] {
  return [...new Set([...given.keys(), ...stored.keys()])].sort().map((key) => {
    const [from, to] = [given.get(key), stored.get(key)]
    const [entry, now] = [from && parseEntry(key, from), to && readable(key, to)]
    const isDeletion = entry !== undefined && 'tombstone' in entry
    return { key, do: actOf(from, to, entry, now), has: now && seqOf(now), gets: entry && seqOf(entry), isDeletion }
  })
}

function actOf(
  from: Secret | undefined,
  to: Secret | undefined,
  entry: Entry | undefined,
  now: Entry | undefined,
): Step['do'] {
  if (from === undefined || entry === undefined) return 'keep'
  if (to === undefined) return 'add'
  if (from.equals(to)) return 'same'
  if (now === undefined) return 'mend'
  if (seqOf(now) < seqOf(entry) && !isOfAnotherLife(now, entry)) return 'raise'
  // An old deletion is no reason to take away what came after it.
  return 'tombstone' in entry ? 'keep' : 'back'
}

/** In a keychain that was begun anew `seq` is small and the password the newer one all the same. */
function isOfAnotherLife(now: Entry, entry: Entry): boolean {
  if ('tombstone' in now) return false
  if ('tombstone' in entry) return highestVersion(now.credential) > entry.tombstone.version
  const madeAtMs = ({ credential }: { credential: Credential }) =>
    Date.parse(versionOf(credential, 'current')?.createdAt ?? '')
  return madeAtMs(now) > madeAtMs(entry)
}

/**
 * Puts items into a store as planned, `back` too: those come as a change after what is `stored`, so that neither `seq` nor the number
 * of a version ever goes back. Everything has been read back when it resolves. Done again it goes on where it was cut off.
 * Throws what the store throws, and KEYCHAIN_UNAVAILABLE when it did not keep an item.
 */
export async function transfer(
  given: Map<string, Secret>,
  stored: Map<string, Secret>,
  steps: Step[],
  target: Items,
  mark: Mark = noMark,
): Promise<void> {
  const wanted = new Map<string, Secret>()
  for (const { key, do: act } of steps) {
    const [text, now] = [given.get(key), stored.get(key)]
    if (text === undefined || act === 'same' || act === 'keep') continue
    wanted.set(key, act === 'back' && now !== undefined ? after(key, text, now) : text)
  }
  for (const [key, text] of wanted) {
    mark('transfer: before a write')
    await target.write(key, text)
    mark('transfer: after a write')
  }
  const kept = await target.readAll()
  for (const [key, text] of wanted) {
    if (kept.get(key)?.equals(text) !== true)
      throw new RegcreddError(
        'KEYCHAIN_UNAVAILABLE',
        `the ${target.store} store did not keep the item of ${key}; see that its disk has room`,
      )
  }
  mark('transfer: read back')
}

/** The same credential as a change after what is stored. A rotation that was under way then is not taken up again. */
function after(key: string, text: Secret, now: Secret): Secret {
  const entry = parseEntry(key, text)
  const current = parseEntry(key, now)
  if ('tombstone' in entry) return text
  const version = 'tombstone' in current ? current.tombstone.version : highestVersion(current.credential)
  const { pending, versions, ...kept } = entry.credential
  const settled = { ...kept, pending: undefined, versions: versions.filter(({ id }) => id !== pending), rotations: [] }
  return formatItem(key, {
    ...continueAfter({ seq: 0, version }, settled),
    seq: Math.max(seqOf(current), seqOf(entry)) + 1,
  })
}

function readable(key: string, text: Secret): Entry | undefined {
  const read = entryOrFault(key, text)
  return read instanceof RegcreddError ? undefined : read
}

/** Throws KEYCHAIN_NEWER, naming them, where a plan would put older items in the place of newer ones. */
export function refuseNewer(steps: Step[]): void {
  const newer = steps.filter((step) => step.do === 'back')
  if (newer.length === 0) return
  const named = newer.map(({ key, has = 0, gets = 0 }) => {
    const later = has < gets ? ' with a later password' : ''
    return `${key} (seq ${has}${later} there, ${gets} to be put in)`
  })
  throw new RegcreddError('KEYCHAIN_NEWER', named.join(', '))
}
