import { RegcreddError, toRegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import type { Keychain } from '../keychain/keychain.ts'
import { credentialOf, type Entry, seqOf } from '../keychain/tombstone.ts'
import { patiently } from '../mirror/applying.ts'
import type { Answer, Fault } from '../mirror/fault.ts'
import { createPool } from '../mirror/pool.ts'
import type { CanonicalStore, FoundCanonical } from './canonical-store.ts'
import { changeEntry, claim } from './change.ts'
import { compareEntries, isSameEntry, isWithinReach, settlesFork } from './compare.ts'

/**
 * How a node stands to the fleet with one credential. `synced`: it holds what the fleet holds. `absent`: neither holds one. `behind`, `ahead`: it could not
 * take over, or could not publish. `forked`: as old as the fleet's, and another. `garbled`: what stands in the cluster is no credential of ours.
 * `unknown`: the cluster has not been asked yet, or does not answer.
 */
export type Standing = 'synced' | 'absent' | 'behind' | 'ahead' | 'forked' | 'garbled' | 'unknown'

export type ReplicaState = {
  standing: Standing
  /** Of what this node holds. */
  seq: number | undefined
  /** Of what the fleet held when it was last seen. */
  fleetSeq: number | undefined
  detail: string | undefined
}

export type Replica = {
  state(): ReplicaState
  /** The version of the canonical Secret that was seen last, so that a watch's news of it is none. */
  seenVersion(): string | undefined
  /** Takes over what is newer, publishes what is newer here. Gives the fault that it met, which is worth another try; throws as the keychain does. */
  sync(signal: AbortSignal): Promise<Fault | undefined>
  /**
   * As `Keychain.update`, on the newest that the fleet holds: published by compare-and-swap first, then stored. Throws FLEET_UNAVAILABLE where the cluster
   * does not take it, FLEET_CONFLICT where it holds another credential of the same age or none that can be read; nothing is stored then.
   */
  update(
    change: (stored: Credential | undefined) => Credential | undefined,
    signal: AbortSignal,
  ): Promise<Credential | undefined>
}

export type ReplicaParts = {
  key: string
  /** Name of this node. */
  node: string
  store: CanonicalStore
  keychain: Pick<Keychain, 'replicate'>
  sleep: (durationMs: number, signal: AbortSignal) => Promise<unknown>
  random: () => number
  /** What another node has brought about is in the keychain now. Must not throw. */
  onAdopted: (key: string, entry: Entry) => void
  /** Must not throw. */
  onStanding: (key: string, state: ReplicaState) => void
}

/** The copy of one credential that this node holds of the fleet's. */
export function createReplica(parts: ReplicaParts): Replica {
  const { key, store, keychain } = parts
  let state: ReplicaState = { standing: 'unknown', seq: undefined, fleetSeq: undefined, detail: undefined }
  let seen: string | undefined
  const inTurn = createPool(1)

  function settle(next: ReplicaState): void {
    const isNews =
      next.standing !== state.standing ||
      next.detail !== state.detail ||
      next.seq !== state.seq ||
      next.fleetSeq !== state.fleetSeq
    state = next
    if (isNews) parts.onStanding(key, next)
  }

  const ourEntry = () => keychain.replicate(key, () => undefined)

  /** Under the lock of the item, so that nothing that came meanwhile is overwritten by what is older. */
  async function take(theirs: Entry): Promise<void> {
    let isNew = false
    await keychain.replicate(key, (ours) => {
      const relation = compareEntries(key, theirs, ours)
      isNew = relation === 'newer' || relation === 'alike'
      return isNew ? theirs : undefined
    })
    if (isNew) parts.onAdopted(key, theirs)
  }

  function unreachable(fault: Fault, ours: Entry | undefined): Fault {
    settle({ ...state, seq: ours && seqOf(ours), standing: 'unknown', detail: fault.detail })
    return fault
  }

  async function publish(ours: Entry, found: FoundCanonical | undefined, signal: AbortSignal): Promise<Answer<void>> {
    const answer =
      found === undefined ? await store.create(key, ours, signal) : await store.replace(key, ours, found, signal)
    if (!answer.ok) return answer
    seen = answer.value.resourceVersion
    return { ok: true, value: undefined }
  }

  /** Stores what was published. */
  function put(entry: Entry): Promise<Entry | undefined> {
    return keychain.replicate(key, (ours) => {
      const relation = compareEntries(key, entry, ours)
      return relation === 'older' || relation === 'same' ? undefined : entry
    })
  }

  async function syncOnce(signal: AbortSignal): Promise<Fault | undefined> {
    const read = await store.read(key, signal)
    const ours = await ourEntry()
    // A read that failed says nothing: what this node holds stays.
    if (!read.ok) return unreachable(read.fault, ours)
    const found = credible(read.value, ours)
    seen = found?.resourceVersion
    const seq = ours && seqOf(ours)
    if (found !== undefined && 'garbled' in found) {
      settle({ standing: 'garbled', seq, fleetSeq: undefined, detail: found.garbled })
      return undefined
    }
    // Nor does a Secret that is not there delete anything: a logout leaves a tombstone in it.
    if (found === undefined && (ours === undefined || 'tombstone' in ours)) {
      settle({ standing: 'absent', seq, fleetSeq: undefined, detail: undefined })
      return undefined
    }
    const relation = found === undefined ? 'older' : compareEntries(key, found.entry, ours)
    const fleetSeq = found && seqOf(found.entry)
    switch (relation) {
      case 'forked':
        settle({ standing: 'forked', seq, fleetSeq, detail: `another credential of the same age (seq ${seq})` })
        return undefined
      case 'newer':
      case 'alike':
        if (found !== undefined) await take(found.entry)
        settle({ standing: 'synced', seq: fleetSeq, fleetSeq, detail: undefined })
        return undefined
      case 'same':
        settle({ standing: 'synced', seq, fleetSeq, detail: undefined })
        return undefined
      case 'older': {
        if (ours === undefined) return undefined
        const owned = claim(ours, undefined, parts.node)
        const written = await publish(owned, found, signal)
        if (written.ok) await put(owned)
        if (written.ok) settle({ standing: 'synced', seq, fleetSeq: seq, detail: undefined })
        else settle({ standing: 'ahead', seq, fleetSeq, detail: written.fault.detail })
        return written.ok ? undefined : written.fault
      }
    }
  }

  async function updateNow(
    change: (stored: Credential | undefined) => Credential | undefined,
    signal: AbortSignal,
  ): Promise<Credential | undefined> {
    // What was sent last: a write whose answer got lost may have been done.
    let sent: Entry | undefined
    const answer = await patiently<Entry | undefined>({ time: parts, signal }, async () => {
      const read = await store.read(key, signal)
      if (!read.ok) return read
      // A locked keychain is found out before anything is published.
      const ours = await ourEntry()
      const found = credible(read.value, ours)
      if (found !== undefined && 'garbled' in found) {
        throw new RegcreddError('FLEET_CONFLICT', `the canonical Secret of ${key} is refused: ${found.garbled}`)
      }
      seen = found?.resourceVersion
      if (found !== undefined && sent !== undefined && isSameEntry(key, found.entry, sent)) {
        return { ok: true, value: sent }
      }
      const relation = found === undefined ? 'older' : compareEntries(key, found.entry, ours)
      const base = relation === 'older' || found === undefined ? ours : found.entry
      const next = changeEntry(base, change, parts.node)
      if (next === undefined) return { ok: true, value: undefined }
      if (relation === 'forked' && base !== undefined && !settlesFork(base, next)) {
        throw new RegcreddError(
          'FLEET_CONFLICT',
          'this node holds another credential of the same age; log in anew, on one node',
        )
      }
      if (found !== undefined && isSameEntry(key, found.entry, next)) return { ok: true, value: next }
      sent = next
      const written = await publish(next, found, signal)
      return written.ok ? { ok: true, value: next } : written
    })
    if (!answer.ok && !(sent !== undefined && (await isPublished(sent, signal)))) {
      if (signal.aborted) throw new RegcreddError('SHUTTING_DOWN')
      throw new RegcreddError('FLEET_UNAVAILABLE', answer.fault.detail)
    }
    const next = answer.ok ? answer.value : sent
    if (next === undefined) return undefined
    const fleetSeq = seqOf(next)
    const stored = await put(next)
    settle({ standing: 'synced', seq: fleetSeq, fleetSeq, detail: undefined })
    return credentialOf(stored)
  }

  /** Looks whether a write whose answer did not come was done. */
  async function isPublished(entry: Entry, signal: AbortSignal): Promise<boolean> {
    const read = await store.read(key, signal)
    const found = read.ok ? read.value : undefined
    return found !== undefined && 'entry' in found && isSameEntry(key, found.entry, entry)
  }

  return {
    state: () => ({ ...state }),
    seenVersion: () => seen,
    sync: (signal) =>
      inTurn(async () => {
        try {
          return await syncOnce(signal)
        } catch (thrown) {
          const { code, message } = toRegcreddError(thrown)
          settle({ ...state, standing: 'behind', detail: `${code}: ${message}` })
          throw thrown
        }
      }),
    update: (change, signal) => inTurn(() => updateNow(change, signal)),
  }
}

function credible(found: FoundCanonical | undefined, ours: Entry | undefined): FoundCanonical | undefined {
  if (found === undefined || 'garbled' in found || isWithinReach(found.entry, ours)) return found
  const { uid, resourceVersion } = found
  return { uid, resourceVersion, garbled: 'its seq is further ahead than rotations come' }
}
