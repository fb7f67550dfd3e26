import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export const performancePage = join(import.meta.dirname, '../docs/performance.md')
const BEGIN = '<!-- written by npm run bench -->\n'
const END = '<!-- end -->'

/** Puts the table between the page's two markers; the words around it stay. */
export async function writePerformancePage(table: string): Promise<void> {
  await writeFile(performancePage, withTable(await readFile(performancePage, 'utf8'), table))
}

export function withTable(page: string, table: string): string {
  const [before, rest] = split(page, BEGIN)
  const [, after] = split(rest, END)
  return `${before}${BEGIN}\n${table}\n\n${END}${after}`
}

function split(text: string, marker: string): [string, string] {
  const at = text.indexOf(marker)
  if (at === -1) throw new Error(`docs/performance.md has no line ${marker.trim()}`)
  return [text.slice(0, at), text.slice(at + marker.length)]
}
