import { type RegcreddError, toRegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Credential } from './credential.ts'
import { fault } from './faults.ts'
import { formatItem, isObject, parseItem } from './item.ts'

/** What is left of a credential that was deleted: how far its numbers had come, so that a later login goes on from there. */
export type Tombstone = { seq: number; version: number }

/** What a store holds under a key: a credential, or what is left of one. */
export type Entry = { credential: Credential } | { tombstone: Tombstone }

/** Reads an item of a store. Throws KEYCHAIN_CORRUPT. */
export function parseEntry(key: string, text: Secret): Entry {
  const tombstone = parseTombstone(key, text)
  return tombstone === undefined ? { credential: parseItem(key, text) } : { tombstone }
}

/** As `parseEntry`; in the place of an item that cannot be read, why: KEYCHAIN_CORRUPT. */
export function entryOrFault(key: string, text: Secret): Entry | RegcreddError {
  try {
    return parseEntry(key, text)
  } catch (thrown) {
    const error = toRegcreddError(thrown)
    if (error.code === 'KEYCHAIN_CORRUPT') return error
    throw thrown
  }
}

/** `undefined` for any text that is not a tombstone. Throws KEYCHAIN_CORRUPT for one that is malformed. */
export function parseTombstone(key: string, text: Secret): Tombstone | undefined {
  const raw = parseJson(text)
  if (!isObject(raw) || !Object.hasOwn(raw, 'deleted')) return undefined
  const { schema, deleted } = raw
  if (typeof schema === 'number' && schema > 1) throw fault('newer', { where: `the item of ${key}` })
  if (schema !== 1 || raw['key'] !== key || !isObject(deleted))
    throw fault('malformed', { where: `the item of ${key}` })
  const { seq, version } = deleted
  if (!isCount(seq) || !isCount(version)) throw fault('malformed', { where: `the item of ${key}` })
  return { seq, version }
}

export function formatTombstone(key: string, { seq, version }: Tombstone): Secret {
  return new Secret(JSON.stringify({ schema: 1, key, deleted: { seq, version } }))
}

/** The text that `parseEntry` reads. Throws INTERNAL for a credential that is not well-formed. */
export function formatEntry(key: string, entry: Entry): Secret {
  return 'tombstone' in entry ? formatTombstone(key, entry.tombstone) : formatItem(key, entry.credential)
}

export function seqOf(entry: Entry): number {
  return 'tombstone' in entry ? entry.tombstone.seq : entry.credential.seq
}

export function credentialOf(entry: Entry | undefined): Credential | undefined {
  return entry !== undefined && 'credential' in entry ? entry.credential : undefined
}

/** What is to be held after a change: `base` itself where there is no credential before and after it. Throws what `change` throws. */
export function entryAfter(
  base: Entry | undefined,
  change: (stored: Credential | undefined) => Credential | undefined,
): Entry | undefined {
  const before = credentialOf(base)
  const after = change(before)
  if (after === undefined) return before === undefined ? base : { tombstone: tombstoneOf(before) }
  const isAfterDeletion = base !== undefined && 'tombstone' in base
  return { credential: isAfterDeletion ? continueAfter(base.tombstone, after) : after }
}

/** What to leave of a credential that is deleted: the deletion counts as a change of its labels. */
export function tombstoneOf(credential: Credential): Tombstone {
  return { seq: credential.seq + 1, version: highestVersion(credential) }
}

/** The same credential with numbers that come after those of one that was there before, so that no number comes twice. */
export function continueAfter(before: Tombstone, credential: Credential): Credential {
  const shift = (id: string) => `v${Number(id.slice(1)) + before.version}`
  const label = (id: string | undefined) => (id === undefined ? undefined : shift(id))
  return {
    ...credential,
    seq: before.seq + credential.seq,
    current: label(credential.current),
    pending: label(credential.pending),
    previous: label(credential.previous),
    versions: credential.versions.map((version) => ({ ...version, id: shift(version.id) })),
    rotations: credential.rotations.map((record) => ({ ...record, version: shift(record.version) })),
  }
}

export function highestVersion({ versions, rotations }: Credential): number {
  const ids = [...versions.map(({ id }) => id), ...rotations.map(({ version }) => version)]
  return Math.max(0, ...ids.map((id) => Number(id.slice(1))))
}

function parseJson(text: Secret): unknown {
  try {
    return JSON.parse(text.reveal())
  } catch {
    // parseItem says what is wrong with it.
    return undefined
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
