import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { mainPath } from '../test/cli/regcredd.ts'
import { memoryBytes } from '../test/helpers/process-memory.ts'
import { asInstalled } from './as-installed.ts'
import type { Measure } from './measure.ts'
import type { Rig } from './rig.ts'

const READY = /"health":(\d+).*"msg":"ready"/
const READY_WITHIN_MS = 60_000

/** From the start of the process to /readyz, and the memory that it holds when it has settled: the bundle, the sources, and a bare Node. */
export function startUpMeasures({ main, idleConfigFile }: Rig, settleMs: number): Measure[] {
  const serve = ['serve', '--config', idleConfigFile]
  const { nodeFlags, environment } = asInstalled()
  const programs = {
    bare: [join(import.meta.dirname, 'bare.mjs')],
    regcredd: [...nodeFlags, main, ...serve],
    sources: [...nodeFlags, mainPath, ...serve],
  }
  return Object.entries(programs).map(([name, args]) => ({
    label: `start-up and memory, ${name}`,
    sample: async () => {
      const { milliseconds, idleMegabytes } = await startOnce(args, settleMs, name === 'bare' ? {} : environment)
      return { [`start, ${name}`]: milliseconds, [`idle, ${name}`]: idleMegabytes }
    },
  }))
}

type StartUp = { milliseconds: number; idleMegabytes: number }

/** Starts a program until its /readyz answers 200, lets it settle, reads its resident memory, and stops it. */
async function startOnce(args: string[], settleMs: number, environment: Record<string, string>): Promise<StartUp> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: READY_WITHIN_MS + settleMs,
  })
  try {
    const health = await readyPort(child.stdout)
    const [answer] = (await once(get({ port: health, path: '/readyz', agent: false }), 'response')) as [IncomingMessage]
    const milliseconds = performance.now() - startedAt
    if (answer.statusCode !== 200) throw new Error(`${args.join(' ')}: /readyz says ${answer.statusCode}`)
    answer.resume()
    await sleep(settleMs)
    return { milliseconds, idleMegabytes: (await memoryBytes(child.pid, 'VmRSS')) / 1e6 }
  } finally {
    const exit = once(child, 'exit')
    if (child.kill('SIGTERM')) await exit
  }
}

async function readyPort(output: Readable): Promise<string> {
  let text = ''
  for await (const piece of output.iterator({ destroyOnReturn: false })) {
    text += piece
    const port = READY.exec(text)?.[1]
    if (port !== undefined) {
      output.resume()
      return port
    }
  }
  throw new Error(`it ended before it was ready:\n${text}`)
}
