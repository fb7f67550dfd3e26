import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { errnoOf } from '../errors.ts'
import { hookLine, readAnswer, safeNote } from './hook-text.ts'
import type { HookEnd, HookInput, RunHook } from './ports.ts'

/** sysexits.h: EX_TEMPFAIL and EX_NOPERM. */
const EXIT_RETRY = 75
const EXIT_REFUSED = 77
const MAX_OUTPUT_BYTES = 16 * 1024
/** For output that is still in a pipe which somebody outside of the process group holds open. */
const LAST_OUTPUT_MS = 1_000
/** What a hook is given of the environment: no token, no proxy with a password, nothing of the service manager's. */
const ENVIRONMENT = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'CREDENTIALS_DIRECTORY']

type Child = ChildProcessByStdio<Writable, Readable, Readable>
type Exit = { code: number | null; signal: string | null } | { failure: string }

/**
 * Runs a hook: its input on stdin, no secret in argv or environment, its output bounded and passed on by `safeNote` alone. It leads a process group of
 * its own, which is killed as a whole at its end, at the time limit and when the signal is aborted.
 */
export const runHook: RunHook = async (hook, input, signal) => {
  const [program = '', ...args] = hook.command
  const env = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]))
  let child: Child
  try {
    child = spawn(program, args, { cwd: '/', env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  } catch (thrown) {
    return { outcome: 'retry', note: `the hook cannot be started: ${errnoText(thrown)}` }
  }
  const limit = AbortSignal.any([signal, AbortSignal.timeout(hook.timeoutMs)])
  // Where it ends without reading, that is its own affair.
  child.stdin.on('error', () => undefined)
  child.stdin.end(hookLine(input))
  const output = [bounded(child.stdout), bounded(child.stderr)] as const
  const exit = await exitOf(child, limit)
  killGroup(child)
  const [stdout, stderr] = output.map((read) => read())
  return endOf(exit, { stdout, stderr: stderr ?? '' }, input, hook.timeoutMs, signal)
}

function exitOf(child: Child, limit: AbortSignal): Promise<Exit | 'cut off'> {
  const { promise, resolve } = Promise.withResolvers<Exit | 'cut off'>()
  child.once('error', (error) => resolve({ failure: errnoText(error) }))
  child.once('close', (code, signal) => resolve({ code, signal }))
  child.once('exit', (code, signal) => {
    // `close` says that all of its output was read. What it has left behind may hold the pipes open, and is not waited for.
    killGroup(child)
    setTimeout(() => resolve({ code, signal }), LAST_OUTPUT_MS).unref()
  })
  if (limit.aborted) resolve('cut off')
  limit.addEventListener('abort', () => resolve('cut off'))
  return promise
}

function killGroup({ pid }: Child): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody of the group is left.
  }
}

/** What a stream has given at last; `undefined` where that was more than may be. */
function bounded(stream: Readable): () => string | undefined {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  stream.on('error', () => undefined)
  stream.on('data', (chunk: Buffer) => {
    const room = MAX_OUTPUT_BYTES - sizeBytes
    if (room > 0) chunks.push(chunk.subarray(0, room))
    sizeBytes += chunk.length
  })
  return () => {
    stream.destroy()
    return sizeBytes > MAX_OUTPUT_BYTES ? undefined : Buffer.concat(chunks).toString('utf8')
  }
}

function endOf(
  exit: Exit | 'cut off',
  output: { stdout: string | undefined; stderr: string },
  input: HookInput,
  timeoutMs: number,
  stopping: AbortSignal,
): HookEnd {
  if (exit === 'cut off') {
    const why = stopping.aborted ? 'when the rotation was stopped' : `after ${timeoutMs} ms`
    return { outcome: 'unknown', isInFlight: true, note: `the hook was killed ${why}` }
  }
  if ('failure' in exit) return { outcome: 'retry', note: `the hook cannot be started: ${exit.failure}` }
  const note = `the hook ended with ${exit.signal ?? exit.code}${safeNote(output.stderr, input)}`
  if (exit.signal !== null) return { outcome: 'unknown', isInFlight: true, note }
  if (exit.code === EXIT_RETRY) return { outcome: 'retry', note }
  if (exit.code === EXIT_REFUSED) return { outcome: 'refused', note }
  if (exit.code !== 0) return { outcome: 'unknown', isInFlight: false, note }
  if (input.action === 'retire') return { outcome: 'done', made: undefined, note }
  const answer = output.stdout === undefined ? 'malformed' : readAnswer(output.stdout)
  if (answer === 'malformed') {
    return { outcome: 'unknown', isInFlight: false, note: `${note}; what it printed is not the JSON that it may be` }
  }
  return { outcome: 'done', made: answer, note }
}

function errnoText(thrown: unknown): string {
  return errnoOf(thrown) ?? 'unknown'
}
