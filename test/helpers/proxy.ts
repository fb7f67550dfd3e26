import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Registry } from '../../src/config/config.ts'
import type { Credential } from '../../src/keychain/credential.ts'
import { createBlobSizes } from '../../src/proxy/blob-sizes.ts'
import type { CallerMode } from '../../src/proxy/caller.ts'
import type { Exchange, Outcome } from '../../src/proxy/exchange.ts'
import { type ProxyLimits, type PullProxy, startProxy } from '../../src/proxy/listener.ts'
import { createPreference } from '../../src/proxy/preference.ts'
import { createSender } from '../../src/proxy/sender.ts'
import type { TlsFiles } from '../../src/proxy/tls-files.ts'
import { Secret } from '../../src/secret.ts'
import { type Agents, createAgents, type Surroundings } from '../../src/upstream/agents.ts'
import { createLoginBreaker, type LoginBreaker } from '../../src/upstream/login-breaker.ts'
import { createRateLimits, type RateLimits } from '../../src/upstream/rate-limits.ts'
import { createTokens } from '../../src/upstream/tokens.ts'

export type TestProxy = PullProxy & {
  /** Requests as they were begun and as they ended, in order. */
  begun: Exchange[]
  ended: { exchange: Exchange; outcome: Outcome }[]
  setCredential(name: string, passwords: { current: string; pending?: string; previous?: string }): void
  forgetCredential(name: string): void
  get(path: string, options?: AskOptions): Promise<Got>
  breaker: LoginBreaker
  rateLimits: RateLimits
  /** Added to both clocks, so that a test need not wait; once stopped they go on by it alone. */
  clock: { aheadMs: number; stop(): void }
  /** What `begun` throws, for an audit that cannot be written. */
  failBegin: Error | undefined
  /** What a look-up in the keychain throws. */
  failLend: Error | undefined
}

export type AskOptions = {
  method?: string
  headers?: Record<string, string | string[]>
  /** Called when the first piece of the body has come. */
  onBegun?: () => void
}

export type Got = { status: number; headers: IncomingMessage['headers']; body: Buffer; cut: boolean }

/** A listed registry with every field filled in. */
export function listed(name: string, upstream: URL, more: Partial<Registry> = {}): Registry {
  const slash = name.indexOf('/')
  return {
    name,
    host: slash === -1 ? name : name.slice(0, slash),
    path: slash === -1 ? '' : name.slice(slash + 1),
    upstream,
    serverName: undefined,
    ca: undefined,
    clientCertificate: undefined,
    repositories: undefined,
    realms: [],
    allowAddresses: [],
    credential: 'optional',
    callers: undefined,
    canary: undefined,
    redirects: 'follow',
    limits: { connectTimeoutMs: 5_000, answerTimeoutMs: 5_000, idleTimeoutMs: 30_000, maxConnections: 16 },
    ...more,
  }
}

/** The proxy room with the real upstream room, in this process, on a port of its own. */
export async function startTestProxy(
  registries: Registry[],
  callers: { mode: CallerMode; token?: Secret; tls?: TlsFiles } = { mode: 'open' },
  limits: ProxyLimits = { headersTimeoutMs: 5_000, maxConnections: 100 },
  surroundings: Surroundings = {},
): Promise<TestProxy> {
  const credentials = new Map<string, Credential>()
  const agents = new Map<Registry, Agents>()
  const agentsOf = (registry: Registry) => {
    const known = agents.get(registry) ?? createAgents(registry, surroundings)
    agents.set(registry, known)
    return known
  }
  let stoppedAt: { monotonicMs: number; wallMs: number } | undefined
  const clock = {
    aheadMs: 0,
    stop: () => {
      stoppedAt = { monotonicMs: performance.now(), wallMs: Date.now() }
    },
  }
  const nowMs = () => (stoppedAt?.monotonicMs ?? performance.now()) + clock.aheadMs
  const wallNowMs = () => (stoppedAt?.wallMs ?? Date.now()) + clock.aheadMs
  const breaker = createLoginBreaker({ nowMs, wallNowMs })
  const rateLimits = createRateLimits({ nowMs, wallNowMs })
  const tokens = createTokens({ agentsOf, nowMs, wallNowMs, userAgent: 'regcredd/test' })
  const sender = createSender(agentsOf)
  const state: Pick<TestProxy, 'begun' | 'ended' | 'failBegin' | 'failLend'> = {
    begun: [],
    ended: [],
    failBegin: undefined,
    failLend: undefined,
  }
  const proxy = await startProxy({ host: '127.0.0.1', port: 0 }, limits, {
    registries,
    defaultRegistry: 'docker.io',
    tls: callers.tls,
    callers: callers.mode,
    callerTokens: () => (callers.token === undefined ? [] : [callers.token]),
    nowMs,
    sender,
    tokens,
    preference: createPreference(),
    breaker,
    rateLimits,
    wallNowMs,
    asksBasic: new Set(),
    blobSizes: createBlobSizes(),
    lend: async (name) => {
      if (test.failLend !== undefined) throw test.failLend
      return credentials.get(name)
    },
    begun: async (exchange) => {
      if (test.failBegin !== undefined) throw test.failBegin
      test.begun.push(exchange)
    },
    ended: (exchange, outcome) => {
      test.ended.push({ exchange, outcome })
    },
  })
  let seq = 0
  const test: TestProxy = Object.assign(state, {
    breaker,
    rateLimits,
    clock,
    port: proxy.port,
    connections: proxy.connections,
    close: async (drainTimeoutMs: number) => {
      await proxy.close(drainTimeoutMs)
      sender.close()
      for (const one of agents.values()) one.close()
    },
    setCredential: (key: string, passwords: { current: string; pending?: string; previous?: string }) => {
      seq += 1
      // As the daemon does after a login or rotation.
      for (const memory of [tokens, breaker, rateLimits]) memory.forgetRegistry(key)
      const given = Object.entries(passwords)
      const ids = Object.fromEntries(given.map(([label], place) => [label, `v${seq * 10 + place}`]))
      const versions = given.map(([label, password]) => ({
        id: ids[label] ?? '',
        username: 'ci',
        secret: new Secret(password),
        email: undefined,
        createdAt: '2026-01-01T00:00:00Z',
      }))
      const labels = { current: ids['current'], pending: ids['pending'], previous: ids['previous'] }
      credentials.set(key, { schema: 1, key, seq, ...labels, versions, rotations: [] })
    },
    forgetCredential: (key: string) => void credentials.delete(key),
    get: (path: string, options?: AskOptions) => ask(proxy.port, path, options),
  })
  return test
}

/** One request to a port of this machine; a connection that is cut in mid-body is told, not thrown. */
export function ask(port: number, path: string, options: AskOptions = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1',
      port,
      path,
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
      agent: false,
    })
    request.on('error', reject)
    request.on('response', (answer) => {
      const pieces: Buffer[] = []
      const done = (cut: boolean) =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(pieces), cut })
      answer.once('data', () => options.onBegun?.())
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('end', () => done(false))
      answer.on('error', () => done(true))
    })
    request.end()
  })
}
