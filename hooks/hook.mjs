// What both hooks of this folder share; docs/rotation.md says what a hook is given and what its exit codes mean.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

const ANSWER_TIMEOUT_MS = 20_000

/** Nothing was changed: try again later, or do not. */
export const RETRY = 75
export const REFUSED = 77
/** Whether something was changed is not known. */
export const UNKNOWN = 1

export class HookFailure extends Error {
  constructor(exitCode, note) {
    super(note)
    this.exitCode = exitCode
  }
}

/** Runs a hook: its input from stdin, its options from the command line; whatever it throws becomes a note and an exit code, never a stack. */
export async function runHook(options, act) {
  try {
    const { values } = parseArgs({ options: Object.fromEntries(options.map((name) => [name, { type: 'string' }])) })
    const answer = await act(JSON.parse(readFileSync(0, 'utf8')), values)
    if (answer !== undefined) process.stdout.write(JSON.stringify(answer))
  } catch (thrown) {
    const { message, exitCode } = thrown instanceof HookFailure ? thrown : strange(thrown)
    process.stderr.write(`note: ${message}\n`)
    process.exitCode = exitCode
  }
}

/** The message of a stranger's error may quote what it stumbled over. */
function strange({ code = '' }) {
  if (code.startsWith('ERR_PARSE_ARGS')) return new HookFailure(REFUSED, 'an option that it does not know, or one without its value')
  if (code === 'ERR_INVALID_URL') return new HookFailure(REFUSED, '--url is no URL')
  return new HookFailure(UNKNOWN, 'the hook has a mistake')
}

/** A secret of the hook's own, from a file that only the daemon's user can read. */
export function secretFrom(path) {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (thrown) {
    throw new HookFailure(REFUSED, `${path} cannot be read: ${thrown.code}`)
  }
}

export function demand(values, ...names) {
  for (const name of names) if (values[name] === undefined) throw new HookFailure(REFUSED, `--${name} is missing`)
}

/**
 * Asks an API. `isChange`: the request changes something, so where no answer comes, nobody knows. No redirect is followed, for it would take the
 * authorization along.
 */
export async function ask(url, { isChange = false, ...init }) {
  let answer
  try {
    answer = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
  } catch (thrown) {
    throw new HookFailure(isChange ? UNKNOWN : RETRY, `no answer: ${thrown.cause?.code ?? thrown.name}`)
  }
  const { status } = answer
  if (status >= 200 && status < 300) return answer
  const what = `${init.method ?? 'GET'} was answered with ${status}`
  if (status === 429) throw new HookFailure(RETRY, what)
  if (status < 500) throw new HookFailure(REFUSED, what)
  throw new HookFailure(isChange ? UNKNOWN : RETRY, what)
}
