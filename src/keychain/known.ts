import { uptime } from 'node:os'
import { RegcreddError, toRegcreddError } from '../errors.ts'
import type { Credential } from './credential.ts'
import type { Keychain } from './keychain.ts'
import { observeStore, type Seen } from './seen.ts'
import { credentialOf } from './tombstone.ts'

/** A keychain with a memory: what was once read serves on while the store is locked, away or broken. */
export interface KnownKeychain extends Keychain {
  /** What is known of a key, without asking the store. `undefined` says nothing about the store. */
  known(key: string): Credential | undefined
  /**
   * For a pull: what is known at once, else what the store says. `undefined` where a readable store holds no such credential.
   * Throws KEYCHAIN_LOCKED, KEYCHAIN_UNAVAILABLE or KEYCHAIN_CORRUPT when nothing is known and the store does not tell.
   */
  lend(name: string): Promise<{ credential: Credential } | undefined>
  /** Reads every key again; what could be read replaces what was known. Does not throw for a store that fails: the answer says so. */
  refresh(): Promise<Seen>
  /** How the store was when it was last used; asks nothing. */
  seen(): Seen
  /** `take` is called whenever the state or the code of what was seen is another, with nothing: ask `seen`. */
  onSeen(take: () => void): void
  /** How many credentials are known. */
  knownCount(): number
  /**
   * Drops what has been known for longer than `plaintextTtlMs` without being read anew, and tells whether anything is left that will have to go in
   * time. Whoever asks for what is known drops it, too.
   */
  dropStale(): boolean
}

export type KnownOptions = {
  /** Milliseconds since 1970, as `Date.now`. */
  clock: () => number
  /** How long "the store holds no such credential" is believed before the store is asked again. Default 1 s. */
  absenceMs?: number
  /** How long a credential stays known after it was last read or written. Absent: as long as the process lives. */
  plaintextTtlMs?: number | undefined
  /** Milliseconds that no change of the time of day moves, and that go on while the machine sleeps, as those of `performance.now` do not. */
  steadyMs?: () => number
}

/**
 * Wraps a keychain. `get` reads the store, and falls back on what is known when the store fails; `update` always works on what is stored.
 * Credentials are shared with whoever asks: they are to be read, not changed.
 */
export function keepKnown(keychain: Keychain, options: KnownOptions): KnownKeychain {
  const {
    clock,
    absenceMs = 1_000,
    plaintextTtlMs = Number.POSITIVE_INFINITY,
    steadyMs = () => uptime() * 1_000,
  } = options
  const known = new Map<string, Credential>()
  const readAtMs = new Map<string, number>()
  const absentSince = new Map<string, number>()
  // Grows at both ends of a write: a reading that a write overlaps must not put the older value back.
  const writes = new Map<string, number>()
  const readings = new Map<string, Promise<Credential | undefined>>()
  const takers: (() => void)[] = []
  const observer = observeStore(clock, () => {
    for (const take of takers) take()
  })
  let refreshing: Promise<Seen> | undefined

  function countWrite(key: string): void {
    writes.set(key, (writes.get(key) ?? 0) + 1)
    // Whoever asks after a write must not be given a reading that began before it.
    readings.delete(key)
  }

  function remember(key: string, credential: Credential | undefined): void {
    if (credential === undefined) {
      known.delete(key)
      absentSince.set(key, clock())
    } else {
      known.set(key, credential)
      readAtMs.set(key, steadyMs())
      absentSince.delete(key)
    }
  }

  function dropStale(): boolean {
    if (plaintextTtlMs === Number.POSITIVE_INFINITY) return false
    const oldestMs = steadyMs() - plaintextTtlMs
    for (const key of known.keys()) {
      if ((readAtMs.get(key) ?? 0) <= oldestMs) known.delete(key)
    }
    return known.size > 0
  }

  function knownOf(key: string): Credential | undefined {
    dropStale()
    return known.get(key)
  }

  async function read(key: string): Promise<Credential | undefined> {
    const before = writes.get(key)
    const credential = await keychain.get(key)
    if (writes.get(key) === before) remember(key, credential)
    return credential
  }

  function readOnce(key: string): Promise<Credential | undefined> {
    const running = readings.get(key)
    if (running !== undefined) return running
    const reading = read(key).finally(() => {
      if (readings.get(key) === reading) readings.delete(key)
    })
    readings.set(key, reading)
    return reading
  }

  async function get(key: string): Promise<Credential | undefined> {
    try {
      const credential = await readOnce(key)
      observer.worked()
      return credential
    } catch (thrown) {
      const error = toRegcreddError(thrown)
      if (!isOfStore(error)) throw error
      observer.failed(error)
      const credential = knownOf(key)
      if (credential === undefined) throw error
      return credential
    }
  }

  function update(key: string, change: Parameters<Keychain['update']>[1]): Promise<Credential | undefined> {
    return writing(key, async () => {
      const credential = await keychain.update(key, change)
      remember(key, credential)
      return credential
    })
  }

  function replicate(key: string, decide: Parameters<Keychain['replicate']>[1]): ReturnType<Keychain['replicate']> {
    return writing(key, async () => {
      const entry = await keychain.replicate(key, decide)
      remember(key, credentialOf(entry))
      return entry
    })
  }

  async function writing<T>(key: string, write: () => Promise<T>): Promise<T> {
    countWrite(key)
    try {
      const written = await write()
      observer.worked()
      return written
    } catch (thrown) {
      const error = toRegcreddError(thrown)
      if (isOfStore(error)) observer.failed(error)
      throw thrown
    } finally {
      countWrite(key)
    }
  }

  async function readAll(): Promise<Seen> {
    try {
      const before = new Map(writes)
      const all = await keychain.all()
      let broken: RegcreddError | undefined
      for (const [key, read] of all) {
        // One item that cannot be parsed takes away nothing of what is known of it.
        if (read instanceof RegcreddError) broken = read
        else if (writes.get(key) === before.get(key)) remember(key, read)
      }
      // What is known and was not among them is asked for by name before it is forgotten.
      for (const key of known.keys()) {
        if (!all.has(key)) broken = (await readUnlessBroken(key)) ?? broken
      }
      observer.workedInFull(broken)
    } catch (thrown) {
      const error = toRegcreddError(thrown)
      if (!isOfStore(error)) throw error
      observer.failedInFull(error)
    }
    return observer.seen()
  }

  async function readUnlessBroken(key: string): Promise<RegcreddError | undefined> {
    try {
      await read(key)
      return undefined
    } catch (thrown) {
      const error = toRegcreddError(thrown)
      if (error.code !== 'KEYCHAIN_CORRUPT') throw error
      return error
    }
  }

  return {
    store: keychain.store,
    keys: () => keychain.keys(),
    all: () => keychain.all(),
    get,
    update,
    replicate,
    known: knownOf,
    knownCount() {
      dropStale()
      return known.size
    },
    dropStale,
    seen: observer.seen,
    onSeen: (take) => void takers.push(take),
    async lend(name) {
      const absent = absentSince.get(name)
      if (absent !== undefined && observer.seen().state === 'ready' && clock() - absent < absenceMs) return undefined
      const credential = knownOf(name) ?? (await get(name))
      return credential === undefined ? undefined : { credential }
    },
    refresh() {
      refreshing ??= readAll().finally(() => {
        refreshing = undefined
      })
      return refreshing
    },
    close: () => keychain.close(),
  }
}

function isOfStore(error: RegcreddError): boolean {
  return error.code.startsWith('KEYCHAIN_')
}
