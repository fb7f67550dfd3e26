import { LRUCache } from 'lru-cache'
import { type Credential, versionOf } from '../keychain/credential.ts'

/** A version that is not CURRENT and was refused is not tried again for so long: every failed login counts towards a lock-out. */
const RETRY_AFTER_MS = 30_000

export type Preference = {
  /** Ids of the versions to try, in order: the one that won last, CURRENT, PENDING, PREVIOUS. */
  order(credential: Credential): string[]
  won(credential: Credential, version: string): void
  refused(credential: Credential, version: string): void
}

/**
 * Remembers which version of a credential the registry takes at the moment, so that between a password's change at the registry
 * and the commit of its rotation no pull fails, and none is refused twice.
 */
export function createPreference(nowMs: () => number): Preference {
  const winners = new LRUCache<string, string>({ max: 10_000 })
  const refusedAtMs = new LRUCache<string, number>({ max: 10_000 })
  // The labels' owner counts `seq` up with each change, so what was learned before a change is forgotten.
  const name = (credential: Credential) => `${credential.key} ${credential.seq}`

  function order(credential: Credential): string[] {
    const labelled = (['current', 'pending', 'previous'] as const).flatMap(
      (label) => versionOf(credential, label)?.id ?? [],
    )
    const winner = winners.get(name(credential))
    const all =
      winner !== undefined && labelled.includes(winner) ? [winner, ...labelled.filter((id) => id !== winner)] : labelled
    return all.filter(
      (id, place) =>
        place === 0 || nowMs() - (refusedAtMs.get(`${name(credential)} ${id}`) ?? -Infinity) >= RETRY_AFTER_MS,
    )
  }
  return {
    order,
    won: (credential, version) => {
      winners.set(name(credential), version)
    },
    refused: (credential, version) => {
      refusedAtMs.set(`${name(credential)} ${version}`, nowMs())
      if (winners.get(name(credential)) === version) winners.delete(name(credential))
    },
  }
}
