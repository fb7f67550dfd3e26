import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { RegcreddError } from '../errors.ts'
import type { RotationRecord } from '../keychain/credential.ts'
import { audited } from './acts.ts'
import { createMirrorRuns } from './mirror-runs.ts'
import type { RotationParts } from './parts.ts'
import { abort, findRotation, remove } from './plan.ts'
import { replaceVerified } from './replace-credential.ts'
import { describeRotation, type Rotation } from './rotation.ts'
import type { Rotations } from './rotations.ts'
import { patiently, settle } from './settle.ts'
import { repeated, sameRequest, stageRequest } from './start-request.ts'

type Running = { ended: Promise<void>; stop: AbortController }

export function createRotations(parts: RotationParts): Rotations {
  const { keychain, onAct, now } = parts
  const closing = new AbortController()
  const running = new Map<string, Running>()
  const behind = new Set<Promise<void>>()
  const mirrorRuns = createMirrorRuns(parts)

  function refuseWhenClosing(): void {
    if (closing.signal.aborted) throw new RegcreddError('SHUTTING_DOWN')
  }

  /** Keeps hold of work that nobody waits for, so that close() can. */
  function goOn(key: string, work: () => Promise<void>): Promise<void> {
    const task = work()
      .catch((thrown: unknown) => parts.onFault(thrown, { key, rotation: undefined }))
      .finally(() => behind.delete(task))
    behind.add(task)
    return task
  }

  /** Settles a rotation, if that is still to be done, and mirrors what was committed. */
  function drive(key: string, id: string): void {
    if (running.has(id)) return
    const stop = new AbortController()
    const ended = goOn(key, async () => {
      const signal = AbortSignal.any([closing.signal, stop.signal])
      await settle(parts, key, id, signal)
      const stored = await patiently(parts, key, id, () => keychain.get(key), signal)
      if (findRotation(stored, id)?.state === 'COMMITTED') await mirrorRuns.run(key, closing.signal)
    }).finally(() => running.delete(id))
    running.set(id, { ended, stop })
  }

  function describe(key: string, record: RotationRecord): Rotation {
    const mirror = mirrorRuns.resultsOf(key, record.id)
    const at = record.endedAt ?? record.startedAt
    const reached = mirror === undefined ? [] : (['MIRRORED', 'GRACE'] as const).map((state) => ({ state, at }))
    return describeRotation(key, record, { reached, note: undefined, mirror })
  }

  async function find(id: string): Promise<{ key: string; record: RotationRecord }> {
    let unreadable: unknown
    for (const key of await keychain.keys()) {
      try {
        const record = findRotation(await keychain.get(key), id)
        if (record !== undefined) return { key, record }
      } catch (thrown) {
        unreadable ??= thrown
      }
    }
    // "Not found" may only be said when all that is stored could be read.
    throw unreadable ?? new RegcreddError('ROTATION_NOT_FOUND')
  }

  async function get(id: string): Promise<Rotation> {
    const { key, record } = await find(id)
    return describe(key, record)
  }

  async function takeUp(key: string): Promise<void> {
    const stored = await keychain.get(key)
    const rotations = stored?.rotations ?? []
    const staged = rotations.find((record) => record.state === 'STAGED')
    const committed = rotations.findLast((record) => record.state === 'COMMITTED')
    if (staged !== undefined) drive(key, staged.id)
    if (committed !== undefined) drive(key, committed.id)
  }

  return {
    async start(key, request) {
      refuseWhenClosing()
      if (!parts.isListed(key)) throw new RegcreddError('REGISTRY_UNLISTED')
      const id = randomUUID()
      const act = { actor: request.actor, action: 'rotation.start' as const, target: key, detail: { rotation: id } }
      const record = await audited(
        onAct,
        act,
        async () => {
          const stored = await keychain.update(
            key,
            (before) => repeated(before, request) ?? stageRequest(before, id, request, now()),
          )
          const found = stored && (sameRequest(stored, request) ?? findRotation(stored, id))
          if (found === undefined) throw new RegcreddError('KEYCHAIN_UNAVAILABLE', 'it gave back something else')
          if (found.state === 'STAGED') drive(key, found.id)
          return found
        },
        (found) => ({ rotation: found.id, version: found.version }),
      )
      return describe(key, record)
    },

    get,

    async list(key) {
      const keys = key === undefined ? await keychain.keys() : [key]
      const all: Rotation[] = []
      for (const one of keys) {
        const stored = await keychain.get(one)
        for (const record of stored?.rotations ?? []) all.push(describe(one, record))
      }
      return all.reverse().sort((a, b) => b.startedAt.localeCompare(a.startedAt))
    },

    async wait(id, timeoutMs, signal) {
      const task = running.get(id)
      if (task !== undefined) await firstOf(task.ended, timeoutMs, signal)
      return get(id)
    },

    async abort(id, actor) {
      refuseWhenClosing()
      const { key, record: found } = await find(id)
      if (found.state === 'ABORTED') return describe(key, found)
      const act = { actor, action: 'rotation.abort' as const, target: key, detail: { rotation: id } }
      const stored = await audited(onAct, act, () =>
        keychain.update(key, (before) => abort(before, id, 'ROTATION_ABORTED', now())),
      )
      running.get(id)?.stop.abort()
      const record = findRotation(stored, id)
      if (record === undefined) throw new RegcreddError('ROTATION_NOT_FOUND')
      return describe(key, record)
    },

    dryRun: async () => notYet(),
    rollback: async () => notYet(),
    resolve: async () => notYet(),
    follow: () => notYet(),

    async resume() {
      const keys = await patiently(parts, '*', undefined, () => keychain.keys(), closing.signal)
      const taken = (keys ?? []).map((key) => patiently(parts, key, undefined, () => takeUp(key), closing.signal))
      await Promise.all(taken)
    },

    async replaceCredential(key, login, verify, actor) {
      refuseWhenClosing()
      if (!parts.isListed(key)) throw new RegcreddError('REGISTRY_UNLISTED')
      const mirrorBehind = () => void goOn(key, () => mirrorRuns.run(key, closing.signal))
      return replaceVerified(parts, key, login, verify, actor, mirrorBehind, closing.signal)
    },

    async removeCredential(key, actor) {
      refuseWhenClosing()
      const act = { actor, action: 'credential.delete' as const, target: key, detail: {} }
      await audited(onAct, act, () => keychain.update(key, remove))
    },

    async close() {
      closing.abort()
      await Promise.all(behind)
    },
  }
}

async function firstOf(ended: Promise<void>, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const stop = new AbortController()
  const timer = sleep(timeoutMs, undefined, { signal: AbortSignal.any([signal, stop.signal]) })
  // The timer rejects when it is stopped, which is how a wait ends early.
  await Promise.race([ended, timer.catch(() => undefined)])
  stop.abort()
}

function notYet(): never {
  throw new RegcreddError('INTERNAL', 'not built yet')
}
