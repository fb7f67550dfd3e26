import { type Paint, printable, type Tone } from './terminal.ts'

export type Cell = string | { text: string; tone: Tone }

/** Columns that line up, under a bold head; nothing follows the last cell of a line. */
export function table(head: string[], rows: Cell[][], paint: Paint): string {
  const lines: Cell[][] = [head.map((text) => ({ text, tone: 'bold' })), ...rows]
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => textOf(cells[column]).length)))
  return lines.map((cells) => line(cells, widths, paint)).join('\n')
}

/** Every leaf of a JSON value beside its path, for answers whose shape may grow. */
export function leaves(value: unknown, path = ''): [path: string, text: string][] {
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return [[path, value.join(', ') || '-']]
  if (typeof value !== 'object' || value === null) return [[path, value === null ? '-' : String(value)]]
  return Object.entries(value).flatMap(([key, child]) => leaves(child, path === '' ? key : `${path}.${key}`))
}

function line(cells: Cell[], widths: number[], paint: Paint): string {
  const last = cells.length - 1
  return cells
    .map((cell, column) => {
      const text = textOf(cell)
      const painted = typeof cell === 'string' ? text : paint(cell.tone, text)
      return column === last ? painted : painted + ' '.repeat((widths[column] ?? 0) - text.length)
    })
    .join('  ')
    .trimEnd()
}

function textOf(cell: Cell | undefined): string {
  return printable(typeof cell === 'string' ? cell : (cell?.text ?? ''))
}
