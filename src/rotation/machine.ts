import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { RegcreddError } from '../errors.ts'
import type { RotationRecord } from '../keychain/credential.ts'
import { audited } from './acts.ts'
import { createChanges } from './changes.ts'
import { createDriver } from './driver.ts'
import { dryRun } from './dry-run.ts'
import { find } from './find.ts'
import { abortOnRequest, type Outcome, resolveOnRequest, stageRollback } from './interventions.ts'
import { createMirrorRuns } from './mirror-runs.ts'
import type { RotationParts } from './parts.ts'
import { patiently } from './patience.ts'
import { remove } from './plan.ts'
import { marked } from './points.ts'
import { reachedStates } from './reached.ts'
import { replaceVerified } from './replace-credential.ts'
import { takeUp, takeUpAll } from './resume.ts'
import { keepSchedules } from './rotate-every.ts'
import { describeRotation, type Rotation } from './rotation.ts'
import type { Rotations } from './rotations.ts'
import { startRotation } from './start.ts'
import { hasEnded } from './state.ts'

const FLEET_LOOK_MS = 2_000

export function createRotations(outside: RotationParts): Rotations {
  const { keychain, pass } = outside
  const parts: RotationParts = {
    ...outside,
    onAct: (act) =>
      act.phase === 'intent'
        ? marked(pass, 'audit: intent', () => outside.onAct(act))
        : marked(pass, 'audit: outcome', () => outside.onAct(act)),
  }
  const closing = new AbortController()
  const changes = createChanges()
  const mirrorRuns = createMirrorRuns(parts)
  const driver = createDriver(parts, mirrorRuns, changes, closing)

  function refuseWhenClosing(): void {
    if (closing.signal.aborted) throw new RegcreddError('SHUTTING_DOWN')
  }

  function describe({ key, record }: { key: string; record: RotationRecord }): Rotation {
    const reached = reachedStates(parts.journal.of(record.id))
    const note = driver.noteOf(record.id)
    return describeRotation(key, record, { reached, note, mirror: mirrorRuns.resultsOf(key, record.id) })
  }

  const get = async (id: string) => describe(await find(parts, id))
  const mirrorBehind = (key: string) => void driver.behind(key, () => mirrorRuns.run(key, closing.signal))

  const start: Rotations['start'] = async (key, request) => {
    refuseWhenClosing()
    const record = await startRotation(parts, key, request, ({ id, state }) => {
      if (state === 'STAGED') driver.drive(key, id, 'fresh')
    })
    return describe({ key, record })
  }

  return {
    start,

    dryRun: (key, request) => dryRun(parts, key, request, closing.signal),

    get,

    async list(key) {
      const keys = key === undefined ? await keychain.keys() : [key]
      const all: Rotation[] = []
      for (const one of keys) {
        const stored = await keychain.get(one)
        for (const record of stored?.rotations ?? []) all.push(describe({ key: one, record }))
      }
      return all.reverse().sort((a, b) => b.startedAt.localeCompare(a.startedAt))
    },

    async wait(id, timeoutMs, signal) {
      await firstOf(driver.ended(id), timeoutMs, signal)
      return get(id)
    },

    async *follow(id, signal) {
      const either = AbortSignal.any([signal, closing.signal])
      const listening = changes.listen(id, either)
      try {
        let told = ''
        let key: string | undefined
        while (!either.aborted || told === '') {
          const found = await find(parts, id, key)
          key = found.key
          const rotation = describe(found)
          const text = JSON.stringify(rotation)
          if (text !== told) yield rotation
          told = text
          if (hasEnded(rotation)) return
          // Of what another node of a fleet drives on, nobody here is told.
          const news = listening.next()
          await (parts.fleet === undefined ? news : firstOf(news, FLEET_LOOK_MS, either))
        }
      } finally {
        listening.stop()
      }
    },

    async abort(id, actor) {
      refuseWhenClosing()
      const outcome = await abortOnRequest(parts, driver, id, actor, closing.signal)
      changes.changed(id)
      return describe(outcome)
    },

    async rollback(id, request) {
      refuseWhenClosing()
      const newId = randomUUID()
      const drive = (key: string) => driver.drive(key, newId, 'resolved')
      return describe(await stageRollback(parts, id, newId, request, drive))
    },

    async resolve(id, version, actor) {
      refuseWhenClosing()
      const onward = ({ key, record }: Outcome) => {
        changes.changed(id)
        if (record.state === 'COMMITTED') driver.drive(key, id, 'resolved')
        else mirrorBehind(key)
      }
      return describe(await resolveOnRequest(parts, id, version, actor, onward, closing.signal))
    },

    async resume() {
      await takeUpAll(parts, driver, closing.signal)
      const { scheduled = [] } = parts
      if (scheduled.length > 0) void driver.behind('*', () => keepSchedules(parts, scheduled, start, closing.signal))
    },

    adopted(key) {
      if (closing.signal.aborted) return
      const take = () => takeUp(parts, driver, key)
      void driver.behind(key, async () => void (await patiently(parts, key, undefined, take, closing.signal)))
    },

    async replaceCredential(key, login, verify, actor) {
      refuseWhenClosing()
      if (!parts.isListed(key)) throw new RegcreddError('REGISTRY_UNLISTED')
      return replaceVerified(parts, key, login, verify, actor, () => mirrorBehind(key), closing.signal)
    },

    async removeCredential(key, actor) {
      refuseWhenClosing()
      const act = { actor, action: 'credential.delete' as const, target: key, detail: {} }
      await audited(parts.onAct, act, () => marked(pass, 'logout', () => keychain.update(key, remove)))
    },

    async close() {
      await driver.close()
      await parts.journal.close()
    },
  }
}

async function firstOf(ended: Promise<unknown>, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const stop = new AbortController()
  const timer = sleep(timeoutMs, undefined, { signal: AbortSignal.any([signal, stop.signal]) })
  // The timer rejects when it is stopped, which is how a wait ends early.
  await Promise.race([ended, timer.catch(() => undefined)])
  stop.abort()
}
