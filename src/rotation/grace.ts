import type { RotationRecord, Version } from '../keychain/credential.ts'
import { versionOf } from '../keychain/credential.ts'
import { journalled } from './act-journal.ts'
import { patiently, pause } from './patience.ts'
import { activeRotation, retire } from './plan.ts'
import type { MirrorResult } from './ports.ts'
import { act, type Run, readRun, subjectOf } from './run.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
/** After a restart the clock may be wrong, and nobody can tell; whatever it says, PREVIOUS is kept this long. */
export const LEAST_AFTER_RESTART_MS = 10 * MINUTE_MS
/** A node of a fleet that is there and does not take the new password over is waited for as long again as the grace was, and at least so long. */
const LEAST_FOR_NODES_MS = HOUR_MS

/**
 * How much of its grace is left to a PREVIOUS. Within the process that committed, that is what a clock that nobody sets says. After a restart the wall
 * clock must do: never more than the whole grace, however far it was put back, and never less than ten minutes, however far ahead.
 */
export function graceLeftMs(record: RotationRecord, now: Date, { isResumed }: { isResumed: boolean }): number {
  const lengthMs = graceMs(record)
  if (!isResumed) return lengthMs
  const endsAtMs = Date.parse(record.graceEndsAt ?? record.endedAt ?? record.startedAt)
  return Math.min(lengthMs, Math.max(endsAtMs - now.getTime(), LEAST_AFTER_RESTART_MS))
}

/** The whole grace, as the commit set it. */
function graceMs({ graceEndsAt, endedAt, startedAt }: RotationRecord): number {
  const beganAt = endedAt ?? startedAt
  return Math.max(0, Date.parse(graceEndsAt ?? beganAt) - Date.parse(beganAt))
}

/**
 * Waits until the grace of a committed rotation is over, and retires its PREVIOUS: first at the registry, where a hook has made it there, then in the
 * keychain. Waits on while another rotation is under way, while a Secret could not be written, and while the hook fails. Never throws.
 */
export async function seeGraceOut(
  run: Run,
  { isResumed }: { isResumed: boolean },
  mirrorAgain: () => Promise<MirrorResult[]>,
): Promise<void> {
  const { parts, key, id, signal } = run
  const first = await patiently(parts, key, id, () => readRun(run), signal)
  if (first?.record === undefined) return
  const dueMs = parts.monotonicMs() + graceLeftMs(first.record, parts.now(), { isResumed })
  for (let leftMs = dueMs - parts.monotonicMs(); leftMs > 0 && !signal.aborted; leftMs = dueMs - parts.monotonicMs()) {
    await rest(run, Math.min(leftMs, HOUR_MS))
  }
  for (let tries = 1; !signal.aborted; tries += 1) {
    const found = await patiently(parts, key, id, () => readRun(run), signal)
    // A later commit, a login or a logout has taken PREVIOUS away.
    if (found?.record?.state !== 'COMMITTED') return
    if (activeRotation(found.stored) !== undefined) {
      await rest(run, MINUTE_MS)
      continue
    }
    if (!(await isAdopted(run, found, dueMs))) {
      run.note('some node has not taken over the new password yet')
      await rest(run, MINUTE_MS)
      continue
    }
    const isMirrored = (await mirrorAgain()).every(({ outcome }) => outcome !== 'failed')
    const previous = found.stored && versionOf(found.stored, 'previous')
    const current = found.stored && versionOf(found.stored, 'current')
    if (signal.aborted) return
    if (isMirrored && (previous === undefined || current === undefined || (await revoke(run, previous, current)))) {
      const move = () => parts.keychain.update(key, (before) => retire(before, id))
      const retireNow = () =>
        act(run, { action: 'rotation.retire', detail: { version: previous?.id ?? '' } }, () =>
          journalled(parts, 'retire', subjectOf(run), move, () => ({ state: 'RETIRED' })),
        )
      await patiently(parts, key, id, retireNow, signal)
      return
    }
    await rest(run, Math.min(HOUR_MS, MINUTE_MS * 2 ** Math.min(tries, 6)))
  }
}

/** Whether no live node needs PREVIOUS any more; at last it goes all the same. */
async function isAdopted(
  { parts, key, signal }: Run,
  { stored, record }: Awaited<ReturnType<typeof readRun>>,
  dueMs: number,
): Promise<boolean> {
  if (parts.fleet === undefined || stored === undefined || record === undefined) return true
  const isOver = parts.monotonicMs() - dueMs >= Math.max(LEAST_FOR_NODES_MS, graceMs(record))
  return isOver || parts.fleet.allAdopted(key, stored.seq, signal)
}

/** Has the hook end a secret that it has made at the registry; gives whether that is done, or was not to be done. */
export async function revoke(run: Run, going: Version, current: Version): Promise<boolean> {
  const { parts, key, id, signal } = run
  const { hook } = parts.policyOf(key)
  if (hook === undefined || going.madeBy === undefined) return true
  const input = {
    action: 'retire' as const,
    registry: key,
    rotation: id,
    username: current.username,
    email: current.email,
    oldUsername: going.username,
    oldSecret: going.secret,
    newSecret: current.secret,
    madeBy: going.madeBy,
  }
  const runOnce = () =>
    journalled(
      parts,
      'revoke',
      subjectOf(run),
      () => parts.runHook(hook, input, signal),
      ({ outcome }) => ({ outcome }),
    )
  const end = await patiently(parts, key, id, runOnce, signal)
  if (end === undefined) return false
  parts.onNote(`retire ${going.id}: ${end.note}`, subjectOf(run))
  if (end.outcome !== 'done') run.note(`${going.id} is not ended at the registry yet: ${end.note}`)
  return end.outcome === 'done'
}

function rest({ parts, signal }: Run, durationMs: number): Promise<void> {
  return pause({ sleep: parts.rest }, durationMs, signal)
}
