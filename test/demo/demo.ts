// Entry of `npm run demo`. The parts run under a child, the stage, in a session of its own: Ctrl-C reaches this process alone,
// which asks the stage to clear away in order, and with --keep the stage stays when this process goes.
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { join } from 'node:path'
import { findTool } from '../helpers/tools.ts'
import { type DemoOptions, type Message, readOptions, type StageOptions, usage } from './options.ts'

const setUp = join(import.meta.dirname, '../setup.mjs')
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  let options: DemoOptions | 'help'
  try {
    options = readOptions(args)
  } catch (thrown) {
    process.stderr.write(`${(thrown as Error).message}\n\n${usage}`)
    return 64
  }
  if (options === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if (options.kubernetes && options.kubeconfig === undefined && 'missing' in findTool('kube-apiserver')) {
    const built = spawnSync(process.execPath, [setUp, 'demo', '--kubernetes'], { stdio: 'inherit' })
    if (built.status !== 0) return 1
  }
  return watch(openStage(options))
}

/** Passes on what the stage says until it has ended, or is left running. Gives the exit code. */
async function watch(stage: ChildProcess): Promise<number> {
  let interrupted: NodeJS.Signals | undefined
  const interrupt = (signal: NodeJS.Signals) => {
    // npm passes on what the terminal has sent already, so that one Ctrl-C comes two or three times.
    if (interrupted === undefined) stage.kill(signal)
    interrupted ??= signal
  }
  for (const signal of SIGNALS) process.on(signal, () => interrupt(signal))
  process.stdout.on('error', () => interrupt('SIGHUP')) // whoever read it has gone
  stage.stderr?.pipe(process.stderr)
  const kept = new Promise<void>((resolve) => {
    stage.on('message', (message: Message) => {
      if ('kept' in message) resolve()
      else process.stdout.write(message.text)
    })
  })
  const ended = Promise.all([once(stage, 'exit'), once(stage, 'disconnect')])
  if ((await Promise.race([kept, ended])) === undefined) {
    stage.disconnect()
    stage.stderr?.destroy()
    stage.unref()
    return 0
  }
  if (interrupted !== undefined) return 128 + constants.signals[interrupted]
  return stage.exitCode ?? 1
}

function openStage(options: DemoOptions): ChildProcess {
  const { isTTY = false, columns } = process.stdout
  const live = isTTY && process.env['TERM'] !== 'dumb'
  const all: StageOptions = { ...options, live, colourful: live && !process.env['NO_COLOR'], columns: columns || 100 }
  return fork(join(import.meta.dirname, 'stage.ts'), [JSON.stringify(all)], {
    detached: true,
    execArgv: ['--disable-warning=DEP0060'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
}
