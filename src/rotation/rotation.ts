import type { RotationRecord, RotationWay } from '../keychain/credential.ts'
import { wayOf } from './plan.ts'
import type { MirrorResult } from './ports.ts'
import type { RotationState } from './state.ts'

/** A state that was reached, and when (RFC 3339, UTC). */
export type ReachedState = { state: RotationState; at: string }

/** What is known of a rotation's way beside the keychain's item: from the journal, and from this process's memory. */
export type Progress = {
  /** Oldest first. */
  reached: ReachedState[]
  /** What it waits for, or what the last outside call said: one safe line. */
  note: string | undefined
  /** Of the last mirror run that followed the commit; kept in memory, so it is absent after a restart until the mirror has run again. */
  mirror: MirrorResult[] | undefined
}

/** A rotation as seen from outside. Holds no secret. */
export type Rotation = {
  id: string
  /** `host` or `host/path`. */
  key: string
  /** The furthest state that was reached; docs/rotation.md explains each. */
  state: RotationState
  /** How the new password came to be: sent by the caller, made by the daemon, or taken from PREVIOUS. */
  way: RotationWay
  version: string
  /** RFC 3339, UTC, like the other times. */
  deadline: string
  startedAt: string
  /** When it was committed or aborted, or found to be stuck. */
  endedAt: string | undefined
  /** When PREVIOUS goes; once committed. */
  graceEndsAt: string | undefined
  /** The rotation that this one takes back. */
  rollbackOf: string | undefined
  /** Why it was aborted or is stuck: an error code of the catalogue. */
  code: string | undefined
  note: string | undefined
  /** Every state with its time, oldest first; the last one is `state`. */
  steps: ReachedState[]
  mirror: MirrorResult[]
  /** The mirror has run, but not every Secret holds the new version; the mirror's own resync goes on with those that failed. */
  partial: boolean
}

export function describeRotation(key: string, record: RotationRecord, progress: Progress): Rotation {
  const { id, version, deadline, startedAt, endedAt, code } = record
  const steps = stepsOf(record, progress.reached)
  const mirror = progress.mirror ?? []
  return {
    id,
    key,
    state: steps.at(-1)?.state ?? 'STAGED',
    way: wayOf(record),
    version,
    deadline,
    startedAt,
    endedAt,
    graceEndsAt: record.graceEndsAt,
    rollbackOf: record.rollbackOf,
    code,
    note: progress.note,
    steps,
    mirror,
    partial: mirror.some((result) => result.outcome === 'failed' || result.outcome === 'foreign'),
  }
}

/**
 * The states that a rotation has passed. The item decides where it stands; of what the journal tells, only that is taken which can lie
 * between two states of the item.
 */
export function stepsOf(record: RotationRecord, reached: ReachedState[]): ReachedState[] {
  // After a restart the mirror runs again: what was reached first counts.
  const told = (...states: RotationState[]) =>
    states.flatMap((state) => reached.find((one) => one.state === state) ?? [])
  const ended = (state: RotationState): ReachedState => ({ state, at: record.endedAt ?? record.startedAt })
  const before = [{ state: 'STAGED' as const, at: record.startedAt }, ...told('APPLIED', 'VERIFIED')]
  switch (record.state) {
    case 'STAGED':
      return before
    case 'ABORTED':
      return [...before, ...told('STUCK'), ended('ABORTED')]
    case 'STUCK':
      return [...before, ended('STUCK')]
    case 'COMMITTED':
      return [...before, ...told('STUCK'), ended('COMMITTED'), ...told('MIRRORED', 'GRACE')]
    case 'RETIRED': {
      const [retired] = told('RETIRED')
      const last: ReachedState = retired ?? { state: 'RETIRED', at: record.graceEndsAt ?? ended('RETIRED').at }
      return [...before, ...told('STUCK'), ended('COMMITTED'), ...told('MIRRORED', 'GRACE'), last]
    }
  }
}
