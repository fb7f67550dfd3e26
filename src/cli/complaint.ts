import { CommanderError } from 'commander'
import { ConfigError, problemLine } from '../config/problem.ts'
import { catalogue, toRegcreddError } from '../errors.ts'
import { Refusal } from './refusal.ts'
import { type Paint, printable } from './terminal.ts'

type Complaint = { code: string | undefined; title: string; detail: string | undefined; status?: number }

/** What went wrong, for stderr: words, or with --json the same as one line of JSON. Empty where commander has said it already. */
export function complaint(thrown: unknown, isJson: boolean, paint: Paint): string {
  if (thrown instanceof CommanderError) return ''
  if (isJson) return `${JSON.stringify({ error: { ...facts(thrown), ...problemsOf(thrown) } })}\n`
  if (thrown instanceof ConfigError) return configComplaint(thrown, paint)
  const { code, title, detail } = facts(thrown)
  const lines = [`${paint('red', 'regcredd:')} ${printable(title)}`]
  // A detail may be the whole message of an error, which begins with the title.
  if (detail !== undefined && detail !== title) lines.push(`  ${printable(detail.replace(`${title}: `, ''))}`)
  if (code !== undefined)
    lines.push(paint('dim', `  ${printable(code)}: docs/errors.md#${printable(code.toLowerCase())}`))
  return `${lines.join('\n')}\n`
}

function facts(thrown: unknown): Complaint {
  if (thrown instanceof Refusal) {
    const { code, title, detail, status } = thrown
    return { code, title, detail, status }
  }
  const { code, detail, cause } = toRegcreddError(thrown)
  const reason = code === 'INTERNAL' && cause instanceof Error ? cause.message : detail
  return { code, title: catalogue[code].message, detail: reason }
}

function problemsOf(thrown: unknown): object {
  return thrown instanceof ConfigError ? { problems: thrown.problems } : {}
}

function configComplaint(thrown: ConfigError, paint: Paint): string {
  const lines = thrown.problems.map((problem) => `  ${printable(problemLine(problem))}`)
  const pointer = paint('dim', '  CONFIG_INVALID: docs/config.md has every key')
  return `${[`${paint('red', 'regcredd:')} ${thrown.file} is not valid`, ...lines, pointer].join('\n')}\n`
}
