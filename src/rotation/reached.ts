import type { JournalRecord } from './journal-line.ts'
import type { ReachedState } from './rotation.ts'

/** The states that the journal has a rotation reach, since the item was last told to be elsewhere. */
export function reachedStates(records: JournalRecord[]): ReachedState[] {
  return sinceTold(records).flatMap(({ what, state, time }) =>
    what === 'intent' || state === undefined ? [] : [{ state, at: time }],
  )
}

/** What was reached before the item was put back, from a backup for instance, must be reached again. */
function sinceTold(records: JournalRecord[]): JournalRecord[] {
  return records.slice(records.findLastIndex(({ what, state }) => what === 'told' && state !== undefined) + 1)
}
