import type { Credential, RecordState, RotationRecord } from '../keychain/credential.ts'
import type { Subject } from './act-journal.ts'
import { type ActDetail, type Actor, audited, daemonActor, type RotationAction } from './acts.ts'
import type { RotationParts } from './parts.ts'
import { findRotation } from './plan.ts'

/** One rotation that is being driven on. */
export type Run = {
  parts: RotationParts
  key: string
  id: string
  /** Aborted when the daemon stops, or somebody else ends this rotation. */
  signal: AbortSignal
  /** Says what it waits for, in one safe line. */
  note: (text: string) => void
}

export const subjectOf = ({ key, id }: Pick<Run, 'key' | 'id'>): Subject => ({ key, rotation: id })

/** For the journal: where an item that was written has this rotation stand. */
export function stateIn({ id }: Pick<Run, 'id'>): (stored: Credential | undefined) => { state?: RecordState } {
  return (stored) => {
    const state = findRotation(stored, id)?.state
    return state === undefined ? {} : { state }
  }
}

/** Does what changes a rotation between its intent and its outcome in the audit, as the daemon's own act unless somebody asked for it. */
export async function act<T>(
  run: Pick<Run, 'parts' | 'key' | 'id'>,
  { action, detail = {}, actor = daemonActor }: { action: RotationAction; detail?: ActDetail; actor?: Actor },
  call: () => Promise<T>,
  describe?: (result: T) => ActDetail,
): Promise<T> {
  const intent = { actor, action, target: run.key, detail: { rotation: run.id, ...detail } }
  return audited(run.parts.onAct, intent, call, describe)
}

/** The item and this rotation's record in it; the record is `undefined` where another process or a restored keychain knows nothing of it. */
export async function readRun(
  run: Pick<Run, 'parts' | 'key' | 'id'>,
): Promise<{ stored: Credential | undefined; record: RotationRecord | undefined }> {
  const stored = await run.parts.keychain.get(run.key)
  return { stored, record: findRotation(stored, run.id) }
}
