import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tool } from './tools.ts'

export type ServerProcess = {
  pid: number
  /** What `ready` matched, groups included: the port that the server chose, for one. */
  ready: RegExpExecArray
  /** All that it has written so far, standard output and error as they came. */
  log: () => string
  /** Resolves when it has ended, by itself or by a signal. */
  ended: Promise<Ended>
  /** SIGTERM, and SIGKILL where it does not end in time; waits for its end. */
  stop: () => Promise<void>
  stopWithin: (limitMs: number) => Promise<void>
}

export type Ended = { code: number | null; signal: NodeJS.Signals | null }

export type ServerCommand = { tool: Tool; args: string[]; ready: RegExp; env?: NodeJS.ProcessEnv; cwd?: string }

const readyWithinMs = 60_000
const termWithinMs = 5_000
/** For what it wrote last to be read. A child of its own that lives on may hold its output open. */
const lastWordsWithinMs = 2_000
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a server of the real world and waits until it writes what `ready` matches. It ends with this process at the latest. */
export async function startServer({ tool, args, ready, env, cwd }: ServerCommand): Promise<ServerProcess> {
  const child = spawn(tool.command, args, { env: { ...tool.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => {
      const told = () => resolve({ code, signal })
      child.once('close', told)
      setTimeout(told, lastWordsWithinMs).unref()
    })
  })
  const stopWithin = (limitMs: number) => stop(child, ended, limitMs)
  const stopped = () => stopWithin(termWithinMs)
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk))
  let failure: Error | undefined
  child.on('error', (error) => (failure = error))
  const deadline = Date.now() + readyWithinMs
  for (;;) {
    const match = ready.exec(log)
    if (match !== null && child.pid !== undefined)
      return { pid: child.pid, ready: match, log: () => log, ended, stop: stopped, stopWithin }
    const dead = failure !== undefined || child.exitCode !== null || child.signalCode !== null
    if (dead || Date.now() > deadline) {
      await stopped()
      const why = dead
        ? `ended (${failure?.message ?? child.exitCode ?? child.signalCode})`
        : `is not ready after ${readyWithinMs} ms`
      throw new Error(`${tool.command} ${why}:\n${log.slice(-2000)}`)
    }
    await sleep(10)
  }
}

async function stop(child: ChildProcess, ended: Promise<Ended>, limitMs: number): Promise<void> {
  running.delete(child)
  if (child.pid === undefined) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
  await ended
  clearTimeout(timer)
}
