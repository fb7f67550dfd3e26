/** The table of docs/keychain.md: `node test/keychain/fault-table.ts` prints it. */
import { faults } from '../../src/keychain/faults.ts'

export function faultTable(): string {
  const rows = Object.values(faults).map(({ code, says, remedy }) =>
    ['', words(says), `\`${code}\``, words(remedy), ''].join(' | ').trim(),
  )
  return ['| what is said of it | code | what to do |', '|---|---|---|', ...rows].join('\n')
}

/** `{path}` becomes *path*. */
function words(text: string): string {
  return text.replace(/\{(\w+)\}/g, '*$1*').replaceAll('|', '\\|')
}

if (import.meta.main) process.stdout.write(`${faultTable()}\n`)
