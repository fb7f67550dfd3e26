import { RegcreddError, toRegcreddError } from '../errors.ts'
import type { RotationParts } from './parts.ts'
import { marked } from './points.ts'
import { reachedStates } from './reached.ts'
import type { RotationState } from './state.ts'

/** The rotation that a record is of. */
export type Subject = { key: string; rotation: string }

export type ActParts = Pick<RotationParts, 'journal' | 'pass' | 'onFault'>

/**
 * Does an act between its intent and its result in the journal; each of the three is a crash point, so `act` is a literal. Without the intent nothing is
 * done (JOURNAL_UNAVAILABLE). A result that cannot be written is only told: the act is done, and the item says so.
 */
export async function journalled<T>(
  parts: ActParts,
  act: string,
  { key, rotation }: Subject,
  call: () => Promise<T>,
  outcomeOf: (result: T) => { outcome?: string; state?: RotationState } = () => ({}),
): Promise<T> {
  const { journal, pass, onFault } = parts
  const about = { key, rotation, act }
  const writeResult = async (end: { outcome?: string; state?: RotationState }) => {
    try {
      await marked(pass, `result: ${act}`, () => journal.write({ what: 'result', ...about, outcome: 'ok', ...end }))
    } catch (thrown) {
      onFault(thrown, { key, rotation })
    }
  }
  await marked(pass, `intent: ${act}`, () => journal.write({ what: 'intent', ...about }))
  let result: T
  try {
    result = await marked(pass, act, call)
  } catch (thrown) {
    // Whether a call that failed has done something is not known; the item tells.
    await writeResult({ outcome: toRegcreddError(thrown).code })
    throw thrown
  }
  await writeResult(outcomeOf(result))
  return result
}

/** Notes a state that no item holds; throws JOURNAL_UNAVAILABLE. Twice is once. */
export async function reach(parts: ActParts, state: RotationState, { key, rotation }: Subject): Promise<void> {
  const { journal, pass } = parts
  if (reachedStates(journal.of(rotation)).some((one) => one.state === state)) return
  await marked(pass, 'journal: reach', () => journal.write({ what: 'reached', key, rotation, state }))
}

/** Tells the journal what the item says: the item wins. Throws JOURNAL_UNAVAILABLE. */
export async function tell(
  parts: ActParts,
  { key, rotation }: Subject,
  told: { act?: string; outcome?: string; state?: RotationState },
): Promise<void> {
  if (told.act === undefined && told.state === undefined) throw new RegcreddError('INTERNAL', 'nothing to tell')
  await marked(parts.pass, 'journal: tell', () => parts.journal.write({ what: 'told', key, rotation, ...told }))
}
