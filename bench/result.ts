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
  /** What the ratio of ours to the peer's should reach. */
  aim: number
  better: 'higher' | 'lower'
}

function ratioOf({ ours, peer }: Result): number {
  return pairedRatio(ours.values, peer.values).ratio
}

export function isMet(result: Result): boolean {
  const ratio = rounded(ratioOf(result))
  return result.better === 'higher' ? ratio >= result.aim : ratio <= result.aim
}

/** A Markdown table; as readable in a terminal. A missed aim is in bold. */
export function tableOf(results: readonly Result[]): string {
  const head = ['what', 'regcredd', 'compared with', 'ratio (spread)', 'aim', '']
  const rows = results.map((result) => {
    const { what, unit, ours, peer, aim, better } = result
    const { ratio, low, high } = pairedRatio(ours.values, peer.values)
    return [
      what,
      `${amount(median(ours.values))} ${unit}`,
      `${peer.name}: ${amount(median(peer.values))} ${unit}`,
      `${rounded(ratio)} (${rounded(low)}–${rounded(high)})`,
      `${better === 'higher' ? '≥' : '≤'} ${aim}`,
      isMet(result) ? 'met' : '**missed**',
    ]
  })
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

/** One line for scripts: `{"<name>":{"ratio":n,"aim":n,"better":"higher"|"lower"}}`. */
export function jsonOf(results: readonly Result[]): string {
  return JSON.stringify(
    Object.fromEntries(
      results.map((result) => [
        result.name,
        { ratio: rounded(ratioOf(result)), aim: result.aim, better: result.better },
      ]),
    ),
  )
}

function rounded(ratio: number): number {
  return Number(ratio.toFixed(2))
}

function amount(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2)
}
