import { setImmediate } from 'node:timers/promises'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import type { Act, Actor } from '../../src/rotation/acts.ts'
import { createRotations } from '../../src/rotation/machine.ts'
import type { RotationParts } from '../../src/rotation/parts.ts'
import type { MirrorResult, Verdict, Verify } from '../../src/rotation/ports.ts'
import type { Rotations } from '../../src/rotation/rotations.ts'
import type { StartRequest } from '../../src/rotation/start-request.ts'
import { Secret } from '../../src/secret.ts'

export const KEY = 'registry.corp.example/team'
export const admin: Actor = { via: 'admin-socket', name: 'jo' }

/** Time that passes only while somebody sleeps. */
export function createFakeTime(start = '2026-03-01T12:00:00.000Z') {
  let nowMs = Date.parse(start)
  const slept: number[] = []
  return {
    slept,
    now: () => new Date(nowMs),
    pass: (durationMs: number) => {
      nowMs += durationMs
    },
    sleep: async (durationMs: number, signal: AbortSignal) => {
      signal.throwIfAborted()
      slept.push(durationMs)
      // A loop that has lost its bound stops here, and its test fails by its own time limit instead of burning on.
      if (slept.length > 2_000) await new Promise(() => {})
      nowMs += durationMs
      await setImmediate()
      signal.throwIfAborted()
    },
    random: () => 0.5,
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

export type Bench = ReturnType<typeof createBench>

/** Real rotations on a memory keychain, a scripted registry and time of our own. */
export function createBench(changes: Partial<RotationParts> = {}) {
  const time = createFakeTime()
  const registry = createScriptedRegistry('ci', 'old')
  const acts: Act[] = []
  const faults: unknown[] = []
  const mirrored: string[] = []
  const results: MirrorResult[] = []
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
    now: time.now,
    sleep: time.sleep,
    random: time.random,
    ...changes,
  }
  const rotations: Rotations = createRotations(parts)
  return { parts, rotations, time, registry, acts, faults, mirrored, results, keychain: parts.keychain }
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

/** Waits for the end of a rotation, in real time at most two seconds. */
export function ended(rotations: Rotations, id: string) {
  return rotations.wait(id, 2_000, new AbortController().signal)
}
