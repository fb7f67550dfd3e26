import { RECORD_STATES, type RecordState, type RotationRecord } from '../keychain/credential.ts'
import { type ActParts, tell } from './act-journal.ts'
import type { JournalRecord } from './journal-line.ts'

/** The acts that were begun and of which no end is known: their process died meanwhile. */
export function openActs(records: JournalRecord[]): string[] {
  const open = new Set<string>()
  for (const { what, act } of records) {
    if (act === undefined) continue
    if (what === 'intent') open.add(act)
    else open.delete(act)
  }
  return [...open]
}

/** Where the journal has a rotation stand, of the states that an item can hold; `undefined` where it does not say. */
export function toldState(records: JournalRecord[]): RecordState | undefined {
  for (const { what, state } of records.toReversed()) {
    const known = RECORD_STATES.find((one) => one === state)
    if (what !== 'intent' && known !== undefined) return known
  }
  return undefined
}

/**
 * Brings the journal to what the keychain's item says, which is the truth: an act whose end is unknown is closed, a state that differs is told.
 * Gives the acts whose end was unknown. Throws JOURNAL_UNAVAILABLE.
 */
export async function reconcile(parts: ActParts, key: string, record: RotationRecord): Promise<string[]> {
  const subject = { key, rotation: record.id }
  const records = parts.journal.of(record.id)
  const lost = openActs(records)
  for (const act of lost) await tell(parts, subject, { act, outcome: 'lost' })
  if (toldState(records) !== record.state) await tell(parts, subject, { state: record.state })
  return lost
}
