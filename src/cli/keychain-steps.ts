import type { Step } from '../keychain/transfer.ts'
import { type Cell, table } from './table.ts'
import type { Paint, Tone } from './terminal.ts'

const WORDS: Record<Step['do'], { done: string; planned: string; tone: Tone | undefined }> = {
  add: { done: 'added', planned: 'would be added', tone: 'green' },
  raise: { done: 'brought up to date', planned: 'would be brought up to date', tone: 'green' },
  mend: { done: 'mended', planned: 'would be mended', tone: 'green' },
  back: { done: 'put back, as a new change', planned: 'is newer there; only with --older', tone: 'yellow' },
  same: { done: 'the same', planned: 'the same', tone: undefined },
  keep: { done: 'kept', planned: 'stays', tone: undefined },
}

/** The store has it still, and whoever reads the plan must see that it would go. */
const DELETED = { done: 'deleted', planned: 'would be deleted', tone: 'yellow' } as const

/** What became, or would become, of each item: a heading, and a line for each. */
export function describeSteps(title: string, steps: Step[], { dryRun }: { dryRun: boolean }, paint: Paint): string {
  const changed = steps.filter((step) => step.do !== 'same' && step.do !== 'keep').length
  const verdict = `${title}: ${changed} of ${steps.length} ${dryRun ? 'would change' : 'changed'}`
  const rows = steps.map(({ key, do: act, has, gets, isDeletion }): Cell[] => {
    const { done, planned, tone } = isDeletion && act === 'raise' ? DELETED : WORDS[act]
    const text = `${dryRun ? planned : done}${isDeletion ? ' (a deletion)' : ''}`
    return [key, String(has ?? '-'), String(gets ?? '-'), tone === undefined ? text : { text, tone }]
  })
  return rows.length === 0
    ? verdict
    : `${verdict}\n\n${table(['REGISTRY', 'SEQ THERE', 'SEQ GIVEN', 'OUTCOME'], rows, paint)}`
}
