import { LRUCache } from 'lru-cache'
import { type Credential, versionOf } from '../keychain/credential.ts'

export type Preference = {
  /** Ids of the versions to try, in order: the one that won last, CURRENT, PENDING, PREVIOUS. */
  order(credential: Credential): string[]
  won(credential: Credential, version: string): void
  refused(credential: Credential, version: string): void
}

/**
 * Remembers which version of a credential the registry takes at the moment, so that between a password's change at the registry
 * and the commit of its rotation no pull fails. Which versions may not be tried for a while is the login breaker's to say.
 */
export function createPreference(): Preference {
  const winners = new LRUCache<string, string>({ max: 10_000 })
  // The labels' owner counts `seq` up with each change, so what was learned before a change is forgotten.
  const name = (credential: Credential) => `${credential.key} ${credential.seq}`
  return {
    order(credential) {
      const labelled = (['current', 'pending', 'previous'] as const).flatMap(
        (label) => versionOf(credential, label)?.id ?? [],
      )
      const winner = winners.get(name(credential))
      return winner !== undefined && labelled.includes(winner)
        ? [winner, ...labelled.filter((id) => id !== winner)]
        : labelled
    },
    won: (credential, version) => {
      winners.set(name(credential), version)
    },
    refused: (credential, version) => {
      if (winners.get(name(credential)) === version) winners.delete(name(credential))
    },
  }
}
