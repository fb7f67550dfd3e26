import type { Values } from './measure.ts'
import { median, pairedRatio } from './stats.ts'

/** Values of one contender, one for each round. */
export type Series = { name: string; values: number[] }

export type Result = {
  /** Key in the JSON line. */
  name: string
  what: string
  unit: string
  ours: Series
  peer: Series
  /** What is to reach the aim: the ratio of ours to the peer's, or our value in its unit, whatever the peer's. */
  judged: 'ratio' | 'value'
  aim: number
  better: 'higher' | 'lower' | 'exact'
}

/** A result before it is measured: under which keys the values of ours and of the peer are found. */
export type Row = Pick<Result, 'name' | 'what' | 'unit' | 'aim' | 'better'> & {
  /** Default: the ratio. */
  judged?: Result['judged']
  ours: string
  peer: readonly [key: string, name: string]
}

/** What was measured of these rows, in their order; a row whose peer was not there is left out. */
export function resultsFrom(rows: readonly Row[], values: Values): Result[] {
  return rows.flatMap(({ ours, peer: [peerKey, peerName], judged = 'ratio', ...row }) => {
    const [own, others] = [values.get(ours), values.get(peerKey)]
    if (own === undefined || others === undefined) return []
    return { ...row, judged, ours: { name: 'regcredd', values: own }, peer: { name: peerName, values: others } }
  })
}

function judgedOf({ ours, peer, judged }: Result): { middle: number; low: number; high: number } {
  if (judged === 'value') {
    return { middle: median(ours.values), low: Math.min(...ours.values), high: Math.max(...ours.values) }
  }
  const { ratio, low, high } = pairedRatio(ours.values, peer.values)
  return { middle: ratio, low, high }
}

/** By what is printed. Where one value is asked for, no round may miss it. */
export function isMet(result: Result): boolean {
  const { middle, low, high } = judgedOf(result)
  const { aim, better } = result
  if (better === 'exact') return low === aim && high === aim
  return better === 'higher' ? rounded(middle) >= aim : rounded(middle) <= aim
}

const SIGNS = { higher: '≥', lower: '≤', exact: '=' }

/** A Markdown table; as readable in a terminal. A missed aim is in bold. */
export function tableOf(results: readonly Result[]): string {
  const head = ['what', 'regcredd', 'compared with', 'ratio (spread)', 'aim', '']
  const rows = results.map((result) => {
    const { what, unit, ours, peer, aim, better, judged } = result
    const { middle, low, high } = judgedOf(result)
    const measured = unit === '' ? String : amount
    const shown = judged === 'value' ? measured : rounded
    const suffix = judged === 'value' && unit !== '' ? ` ${unit}` : ''
    return [
      what,
      `${measured(median(ours.values))} ${unit}`.trim(),
      `${peer.name}: ${measured(median(peer.values))} ${unit}`.trim(),
      judged === 'value' ? `(${shown(low)}–${shown(high)})` : `${shown(middle)} (${shown(low)}–${shown(high)})`,
      `${SIGNS[better]} ${aim}${suffix}`,
      isMet(result) ? 'met' : '**missed**',
    ]
  })
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

/** One line for scripts: `{"<name>":{"ratio":n,"aim":n,"better":"higher"|"lower"|"exact"}}`, with `value` for `ratio` where that is judged. */
export function jsonOf(results: readonly Result[]): string {
  return JSON.stringify(
    Object.fromEntries(
      results.map((result) => {
        const { name, judged, aim, better } = result
        return [name, { [judged]: rounded(judgedOf(result).middle), aim, better }]
      }),
    ),
  )
}

function rounded(ratio: number): number {
  return Number(ratio.toFixed(2))
}

function amount(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2)
}
