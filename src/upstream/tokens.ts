import { LRUCache } from 'lru-cache'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { BearerChallenge } from '../registry/challenge.ts'
import { pullScope } from '../registry/scope.ts'
import type { Secret } from '../secret.ts'
import type { Login } from './authorization.ts'
import { orAborted } from './or-aborted.ts'
import type { Token } from './token-answer.ts'
import { fetchToken, type UpstreamParts } from './token-fetch.ts'

/** Of 10,000 repositories pulled in turn, the seldom ones pay a token request again; memory stays under some 10 MB. */
const MAX_TOKENS = 2_000

export type ExchangeAsk = {
  registry: Registry
  repository: string
  challenge: BearerChallenge
  /** The request that was answered by the challenge. */
  requestUrl: URL
  /** Absent: anonymously. `version` is the id of the credential's version. */
  login: (Login & { version: string }) | undefined
}

/** A token at hand, as far as it takes to get the next one; the password is not among it. */
export type KeptToken = Readonly<{
  key: string
  ask: Omit<ExchangeAsk, 'login'>
  /** Undefined: anonymous. */
  version: string | undefined
  expiresAtMs: number
  /** From when it was asked for to when it is given up. */
  lifetimeMs: number
  /** When a pull needed it last. */
  usedAtMs: number
}>

/** Bearer tokens for pulls, kept until shortly before they end. A version of `undefined` means: anonymous. */
export type Tokens = {
  /** A token for this repository that has not ended, as the last challenge led to it. */
  peek(registry: Registry, repository: string, version: string | undefined): Secret | undefined
  /**
   * Gives a token for one repository, to pull: a kept one, or one fetched by a request that all who ask meanwhile share; when one
   * of them gives up, the others still get it.
   * @throws what `fetchToken` throws; UPSTREAM_UNREACHABLE for one who gives up
   */
  exchange(ask: ExchangeAsk, signal: AbortSignal): Promise<Secret>
  /** Those that have not ended, in no order. */
  kept(): KeptToken[]
  /**
   * Fetches the next token in place of one that is still good and goes on serving; who needs one meanwhile shares the request. Does not
   * count as use. Does nothing for a token that was forgotten.
   * @throws what `fetchToken` throws
   */
  renew(token: KeptToken, login: Login | undefined, signal: AbortSignal): Promise<void>
  /** Drops the token that `peek` gives. */
  forget(registry: Registry, repository: string, version: string | undefined): void
  /** Drops all tokens of a registry, by its `name`, and never gives one that is being fetched: after a rotation or logout. */
  forgetRegistry(name: string): void
}

const gone = () => new RegcreddError('UPSTREAM_UNREACHABLE', 'the caller went away')

type Entry = Token & { -readonly [field in keyof KeptToken]: KeptToken[field] }

/** Makes an empty cache of tokens; `onKept` is told whenever it has got one, but not by `renew`, whose caller knows. */
export function createTokens(parts: UpstreamParts & { onKept?: () => void }): Tokens {
  const tokens = new LRUCache<string, Entry>({ max: MAX_TOKENS })
  /** From registry, repository and version to the key of the token that served them last. */
  const routes = new LRUCache<string, string>({ max: MAX_TOKENS })
  const flights = new Map<string, Promise<Entry>>()
  /** Grows with every `forgetRegistry`. A part of every key, so that nobody joins a flight from before it. */
  const generations = new Map<string, number>()

  const generationOf = (name: string) => generations.get(name) ?? 0
  const routeOf = (registry: Registry, repository: string, version: string | undefined) =>
    JSON.stringify([registry.name, generationOf(registry.name), repository, version ?? null])
  const isGood = (entry: Entry) => entry.expiresAtMs > parts.nowMs()

  function use(key: string | undefined): Secret | undefined {
    const entry = key === undefined ? undefined : tokens.get(key)
    if (entry === undefined) return undefined
    // Also where it has ended: its renewal may be under way.
    entry.usedAtMs = parts.nowMs()
    return isGood(entry) ? entry.token : undefined
  }

  async function fly(
    key: string,
    ask: ExchangeAsk,
    renewed: KeptToken | undefined,
    signal: AbortSignal,
  ): Promise<Entry> {
    const { login, ...asked } = ask
    const { name } = ask.registry
    const [startedAtMs, generation] = [parts.nowMs(), generationOf(name)]
    let outcome: 'ok' | 'failed' = 'failed'
    try {
      const scope = pullScope(ask.repository, ask.challenge.scope)
      const token = await fetchToken({ ...ask, scope }, parts, signal)
      const { expiresAtMs } = token
      const usedAtMs = renewed?.usedAtMs ?? startedAtMs
      const lifetimeMs = expiresAtMs - startedAtMs
      const entry: Entry = { ...token, key, ask: asked, version: login?.version, lifetimeMs, usedAtMs }
      // Whoever waits for it began before the credential changed; nobody else is to have it.
      if (generationOf(name) === generation) {
        tokens.set(key, entry)
        if (renewed === undefined) parts.onKept?.()
      }
      outcome = 'ok'
      return entry
    } finally {
      flights.delete(key)
      parts.exchanged?.({ registry: name, outcome, durationMs: parts.nowMs() - startedAtMs })
    }
  }

  function join(key: string, ask: ExchangeAsk, renewed: KeptToken | undefined, signal: AbortSignal): Promise<Entry> {
    const flight = flights.get(key) ?? fly(key, ask, renewed, signal)
    flights.set(key, flight)
    return flight
  }

  return {
    peek: (registry, repository, version) => use(routes.get(routeOf(registry, repository, version))),

    async exchange(ask, signal) {
      const { registry, repository, challenge, requestUrl, login } = ask
      const scope = pullScope(repository, challenge.scope)
      // The name stands for the credential: two entries of one host have different ones, and versions are counted in each.
      const key = JSON.stringify([
        registry.name,
        generationOf(registry.name),
        URL.parse(challenge.realm, requestUrl)?.href ?? null,
        challenge.service ?? null,
        scope ?? null,
        login?.version ?? null,
      ])
      routes.set(routeOf(registry, repository, login?.version), key)
      const token = use(key)
      if (token !== undefined) return token
      // No caller's signal: the flight belongs to all of them, and the registry's time limits end it.
      const flight = join(key, ask, undefined, new AbortController().signal)
      const { token: fetched } = await orAborted(flight, signal, gone)
      return fetched
    },

    kept: () => [...tokens.values()].filter(isGood),

    async renew(token, login, signal) {
      const { key, ask, version } = token
      if (!tokens.has(key)) return
      await join(key, { ...ask, login: login && { ...login, version: version ?? '' } }, token, signal)
    },

    forget(registry, repository, version) {
      const key = routes.get(routeOf(registry, repository, version))
      if (key !== undefined) tokens.delete(key)
    },

    forgetRegistry(name) {
      generations.set(name, generationOf(name) + 1)
      // A key is a JSON array that begins with the registry's name.
      const prefix = `[${JSON.stringify(name)},`
      for (const key of [...tokens.keys()].filter((each) => each.startsWith(prefix))) tokens.delete(key)
    },
  }
}
