import { setImmediate } from 'node:timers/promises'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import type { Act, Actor } from '../../src/rotation/acts.ts'
import type { Journal } from '../../src/rotation/journal.ts'
import { scanJournal, toJournalLine } from '../../src/rotation/journal-line.ts'
import { createRotations } from '../../src/rotation/machine.ts'
import type { RotationParts } from '../../src/rotation/parts.ts'
import type { RotationPolicy } from '../../src/rotation/policy.ts'
import type { MirrorResult, Verdict, Verify } from '../../src/rotation/ports.ts'
import type { Rotations } from '../../src/rotation/rotations.ts'
import type { StartRequest } from '../../src/rotation/start-request.ts'
import { Secret } from '../../src/secret.ts'

export const KEY = 'registry.corp.example/team'
export const admin: Actor = { via: 'admin-socket', name: 'jo' }

/** Time that passes only while somebody sleeps. */
export function createFakeTime(start = '2026-03-01T12:00:00.000Z') {
  let nowMs = Date.parse(start)
  let monotonic = 0
  const slept: number[] = []
  const rested: number[] = []
  const sleepers = new Set<{ atMs: number; wake: () => void }>()
  return {
    slept,
    now: () => new Date(nowMs),
    pass: (durationMs: number) => {
      nowMs += durationMs
      monotonic += durationMs
      for (const sleeper of sleepers) if (sleeper.atMs <= monotonic) sleeper.wake()
    },
    sleep: async (durationMs: number, signal: AbortSignal) => {
      signal.throwIfAborted()
      slept.push(durationMs)
      // A loop that has lost its bound stops here, and its test fails by its own time limit instead of burning on.
      if (slept.length > 2_000) await new Promise(() => {})
      nowMs += durationMs
      monotonic += durationMs
      await setImmediate()
      signal.throwIfAborted()
    },
    random: () => 0.5,
    monotonicMs: () => monotonic,
    /** Somebody sets the clock: time does not pass by it. */
    setClock: (byMs: number) => {
      nowMs += byMs
    },
    rested,
    /** Waits of hours and days: they last until `pass` has made that time pass. */
    rest: async (durationMs: number, signal: AbortSignal) => {
      signal.throwIfAborted()
      rested.push(durationMs)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const sleeper = { atMs: monotonic + durationMs, wake: resolve }
      sleepers.add(sleeper)
      signal.addEventListener('abort', () => reject(signal.reason))
      await promise
      sleepers.delete(sleeper)
    },
  }
}

/** A registry with one account, whose password can be changed, and which can be down or let anybody in. */
export function createScriptedRegistry(username: string, password: string) {
  const asked: { key: string; username: string; password: string }[] = []
  const registry = {
    asked,
    username,
    password,
    mood: 'up' as 'up' | 'down' | 'open' | 'hanging',
    /** Called before each answer. */
    onAsked: (_count: number): void => {},
    accepts: (login: { username: string; secret: Secret }) =>
      login.username === registry.username && login.secret.reveal() === registry.password,
    verify: (async (key, login, signal): Promise<Verdict> => {
      asked.push({ key, username: login.username, password: login.secret.reveal() })
      registry.onAsked(asked.length)
      await setImmediate()
      if (registry.mood === 'hanging' && !signal.aborted)
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      if (registry.mood === 'down' || registry.mood === 'hanging') return { outcome: 'unreachable', detail: 'no route' }
      if (registry.mood === 'open') return { outcome: 'unverifiable', detail: 'no challenge' }
      return registry.accepts(login) ? { outcome: 'accepted' } : { outcome: 'rejected', detail: '401' }
    }) satisfies Verify,
  }
  return registry
}

export const usualPolicy: RotationPolicy = {
  hook: undefined,
  generate: { length: 40, alphabet: 'alphanumeric' },
  graceSeconds: 86_400,
  rotateEverySeconds: undefined,
  warnBeforeSeconds: 14 * 86_400,
  canary: undefined,
}

/** A journal that ends with the process; its records go through the same text as in a file. */
export function createMemoryJournal(now: () => Date): Journal & { text: () => string } {
  let text = ''
  const all = () => scanJournal(Buffer.from(text)).records
  return {
    text: () => text,
    async write(entry) {
      text += toJournalLine({ n: all().length + 1, time: now().toISOString(), ...entry })
    },
    of: (rotation) => all().filter((record) => record.rotation === rotation),
    all,
    ready: async () => undefined,
    close: async () => undefined,
  }
}

export type Bench = ReturnType<typeof createBench>

/** Real rotations on a memory keychain, a scripted registry and time of our own. */
export function createBench(changes: Partial<RotationParts> = {}) {
  const time = createFakeTime()
  const registry = createScriptedRegistry('ci', 'old')
  const acts: Act[] = []
  const faults: unknown[] = []
  const mirrored: string[] = []
  const results: MirrorResult[] = []
  const notes: string[] = []
  const policy = { ...usualPolicy }
  const parts: RotationParts = {
    keychain: createMemoryKeychain(),
    verify: registry.verify,
    mirror: async (key) => {
      mirrored.push(key)
      return results
    },
    onAct: (act) => void acts.push(act),
    onFault: (fault) => void faults.push(fault),
    isListed: (key) => key === KEY,
    journal: createMemoryJournal(time.now),
    runHook: async () => ({ outcome: 'refused', note: 'no hook is played here' }),
    onNote: (note) => void notes.push(note),
    policyOf: () => policy,
    pass: () => undefined,
    now: time.now,
    monotonicMs: time.monotonicMs,
    sleep: time.sleep,
    rest: time.rest,
    random: time.random,
    ...changes,
  }
  const rotations: Rotations = createRotations(parts)
  return { parts, rotations, time, notes, policy, registry, acts, faults, mirrored, results, keychain: parts.keychain }
}

export function login(password: string, username = 'ci') {
  return { username, secret: new Secret(password), email: undefined }
}

export function newPassword(password: string, more: Partial<StartRequest> = {}): StartRequest {
  return {
    username: undefined,
    secret: new Secret(password),
    email: undefined,
    deadlineSeconds: 600,
    idempotencyKey: undefined,
    actor: admin,
    ...more,
  }
}

/** Waits for the end of a rotation, in real time at most ten seconds. */
export function ended(rotations: Rotations, id: string) {
  return rotations.wait(id, 10_000, new AbortController().signal)
}
