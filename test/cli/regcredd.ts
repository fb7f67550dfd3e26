/** Runs the command line as a real child process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

export type Outcome = { code: number | null; stdout: string; stderr: string }
/** `node`: arguments of Node in place of main.ts. */
export type RunOptions = { stdin?: string | Buffer; env?: Record<string, string>; node?: string[] }

export const mainPath = join(import.meta.dirname, '../../src/main.ts')
const TIMEOUT_MS = 60_000

export function start(args: string[], { env = {}, node = [mainPath] }: RunOptions = {}): ChildProcess {
  const { PATH = '' } = process.env
  return spawn(process.execPath, [...node, ...args], { env: { PATH, ...env }, timeout: TIMEOUT_MS, stdio: 'pipe' })
}

export async function run(args: string[], options: RunOptions = {}): Promise<Outcome> {
  const child = start(args, options)
  // A child that refuses its arguments may be gone before it reads.
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.stdin)
  const [stdout, stderr, [code]] = await Promise.all([output(child.stdout), output(child.stderr), once(child, 'close')])
  return { code, stdout, stderr }
}

function output(stream: NodeJS.ReadableStream | null): Promise<string> {
  return stream === null ? Promise.resolve('') : text(stream as NodeJS.ReadableStream & AsyncIterable<Buffer>)
}
