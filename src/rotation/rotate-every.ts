import type { Credential } from '../keychain/credential.ts'
import { versionOf } from '../keychain/credential.ts'
import { daemonActor } from './acts.ts'
import type { RotationParts } from './parts.ts'
import { pause } from './patience.ts'
import { activeRotation } from './plan.ts'
import type { Rotations } from './rotations.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
/** After one that was aborted, the next comes no sooner. */
const AFTER_ABORT_MS = 6 * HOUR_MS
const DEADLINE_SECONDS = 600

/**
 * How long until a password is to be replaced by the schedule: at its age, less up to a tenth by chance (`random` in 0..1), so that not all come at once.
 * Never longer than one turn, however the clock was set. `undefined` while there is nothing to replace or a rotation is under way.
 */
export function untilDueMs(
  stored: Credential | undefined,
  everySeconds: number,
  now: Date,
  random: number,
): number | undefined {
  const current = stored && versionOf(stored, 'current')
  if (current === undefined || activeRotation(stored) !== undefined) return undefined
  const everyMs = everySeconds * 1_000
  const dueMs = Date.parse(current.createdAt) + everyMs * (1 - random / 10)
  const last = stored?.rotations.at(-1)
  const pauseUntilMs =
    last?.state === 'ABORTED' && last.endedAt !== undefined ? Date.parse(last.endedAt) + AFTER_ABORT_MS : 0
  return Math.min(everyMs, Math.max(0, Math.max(dueMs, pauseUntilMs) - now.getTime()))
}

type Due = { of: string; atMs: number }

/** Begins generated rotations by the schedule of each registry until the signal is aborted. Looks once an hour, and when the next one is due. Never throws. */
export async function keepSchedules(
  parts: RotationParts,
  keys: string[],
  start: Rotations['start'],
  signal: AbortSignal,
): Promise<void> {
  const dues = new Map<string, Due>()
  while (!signal.aborted) {
    for (const key of keys) {
      try {
        await look(parts, key, dues, start)
      } catch (thrown) {
        parts.onFault(thrown, { key, rotation: undefined })
      }
    }
    const nextMs = Math.min(...[...dues.values()].map(({ atMs }) => atMs)) - parts.monotonicMs()
    await pause({ sleep: parts.rest }, Math.min(HOUR_MS, Math.max(MINUTE_MS, nextMs)), signal)
  }
}

async function look(
  parts: RotationParts,
  key: string,
  dues: Map<string, Due>,
  start: Rotations['start'],
): Promise<void> {
  const { rotateEverySeconds, generate } = parts.policyOf(key)
  const stored = await parts.keychain.get(key)
  const leftMs =
    rotateEverySeconds === undefined ? undefined : untilDueMs(stored, rotateEverySeconds, parts.now(), parts.random())
  if (leftMs === undefined) {
    dues.delete(key)
    return
  }
  // Counted by a clock that nobody sets, and anew when the password or the last attempt is another.
  const of = `${stored?.current} ${stored?.rotations.at(-1)?.id}`
  const known = dues.get(key)
  const due = known?.of === of ? known : { of, atMs: parts.monotonicMs() + leftMs }
  dues.set(key, due)
  if (due.atMs > parts.monotonicMs() || parts.fleet?.leads() === false) return
  const request = {
    username: undefined,
    email: undefined,
    deadlineSeconds: DEADLINE_SECONDS,
    idempotencyKey: undefined,
  }
  await start(key, { ...request, generate, actor: daemonActor })
  dues.delete(key)
}
