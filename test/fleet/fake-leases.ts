import type { FoundLease, Leases, LeaseWriting } from '../../src/fleet/leases.ts'
import { type Fault, fault } from '../../src/mirror/fault.ts'

/** Leases in memory that compare and swap, and say when they were written by a server's clock. */
export function createFakeLeases(serverNowMs: () => number) {
  const stored = new Map<string, FoundLease>()
  let version = 0
  const leases = {
    writes: 0,
    /** Asked before each call; a fault is its answer. */
    fate: (_call: 'read' | 'write'): Fault['kind'] | 'done' => 'done',
    get: (name: string) => stored.get(name),
    put: (name: string, lease: FoundLease) => void stored.set(name, lease),
  }

  function write(name: string, writing: LeaseWriting): FoundLease {
    version += 1
    leases.writes += 1
    const { holder, durationSeconds, transitions, acquiredAt, annotations } = writing
    const lease: FoundLease = {
      name,
      uid: 'one',
      resourceVersion: String(version),
      holder,
      durationSeconds,
      transitions,
      acquiredAt,
      annotations,
      writtenAt: new Date(Math.floor(serverNowMs() / 1_000) * 1_000),
    }
    stored.set(name, lease)
    return lease
  }

  function answer<T>(call: 'read' | 'write', act: () => T | Fault) {
    const fate = leases.fate(call)
    if (fate !== 'done') return { ok: false as const, fault: fault(fate, `a ${fate} fault`) }
    const value = act()
    if (typeof value === 'object' && value !== null && 'kind' in value) return { ok: false as const, fault: value }
    return { ok: true as const, value: value as T }
  }

  const api: Leases = {
    read: async (name) => answer('read', () => stored.get(name)),
    ofNodes: async () => answer('read', () => [...stored.values()]),
    create: async (name, writing) =>
      answer('write', () => (stored.has(name) ? fault('conflict', 'it is there') : write(name, writing))),
    replace: async (name, writing, { resourceVersion }) =>
      answer('write', () =>
        stored.get(name)?.resourceVersion === resourceVersion
          ? write(name, writing)
          : fault('conflict', 'it is another'),
      ),
  }
  return Object.assign(leases, { api })
}
