import type { ErrorCode, RegcreddError } from '../errors.ts'

export type KeychainState = 'ready' | 'locked' | 'unavailable'

/** How the store was when it was last used. Times are RFC 3339, UTC. */
export type Seen = {
  state: KeychainState
  /** When it came into this state. */
  since: string
  /** When it was last read in full; `undefined`: not yet. */
  refreshedAt: string | undefined
  /** Of the last failure, while it lasts. A store can be 'ready' and still hold an item that is KEYCHAIN_CORRUPT. */
  code: ErrorCode | undefined
  detail: string | undefined
}

export type Observer = {
  seen(): Seen
  /** One item was read or written. */
  worked(): void
  /** All items were read; `broken` is the error of one that cannot be parsed. */
  workedInFull(broken: RegcreddError | undefined): void
  /** One item could not be read or written. */
  failed(error: RegcreddError): void
  /** The store as a whole could not be read. */
  failedInFull(error: RegcreddError): void
}

/** Keeps the last that was seen of a store, and tells when its state or code is another. Before anything was seen it counts as unavailable. */
export function observeStore(clock: () => number, onChange: () => void): Observer {
  const now = () => new Date(clock()).toISOString()
  let seen: Seen = { state: 'unavailable', since: now(), refreshedAt: undefined, code: undefined, detail: undefined }

  function enter(state: KeychainState, failure: RegcreddError | undefined): void {
    const before = seen
    const since = state === before.state ? before.since : now()
    seen = { ...before, state, since, code: failure?.code, detail: failure?.detail }
    if (seen.state !== before.state || seen.code !== before.code) onChange()
  }

  return {
    seen: () => seen,
    worked() {
      // In a store that is ready already, this says nothing of the other item that may be broken.
      if (seen.state !== 'ready') enter('ready', undefined)
    },
    workedInFull(broken) {
      enter('ready', broken)
      seen = { ...seen, refreshedAt: now() }
    },
    failed(error) {
      // One broken item does not make the store unavailable; whether it is more than one, the next refresh tells.
      enter(error.code === 'KEYCHAIN_CORRUPT' ? seen.state : stateAfter(error), error)
    },
    failedInFull(error) {
      enter(stateAfter(error), error)
    },
  }
}

function stateAfter(error: RegcreddError): KeychainState {
  return error.code === 'KEYCHAIN_LOCKED' ? 'locked' : 'unavailable'
}
