import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { startDaemon } from '../test/helpers/daemon.ts'
import { startFakeRegistry } from '../test/helpers/fake-registry.ts'
import { startServer } from '../test/helpers/server-process.ts'
import { asInstalled, startedAs } from './as-installed.ts'
import type { Measure } from './measure.ts'

const CREDENTIALS = 100
const PASSWORD = 'of the bench only'

/** The row of the table. */
export const idleRow = {
  name: 'idle-wake-ups',
  what: 'wake-ups, 100 credentials, idle',
  unit: '/s',
  aim: 1,
  better: 'lower',
  judged: 'value',
  ours: 'wake-ups, regcredd',
  peer: ['wake-ups, bare', 'bare Node'],
} as const

export type IdleRig = { measures: Measure[]; [Symbol.asyncDispose](): Promise<void> }

/** A daemon with a hundred credentials that nobody asks for anything, and a bare Node beside it. By `settleMs` what a start leaves to be done is over. */
export async function startIdleRig(
  main: string,
  { seconds, settleMs }: { seconds: number; settleMs: number },
): Promise<IdleRig> {
  await using stack = new AsyncDisposableStack()
  const registry = await startFakeRegistry({ auth: 'basic', username: 'ci', password: PASSWORD })
  stack.defer(() => registry.close())
  const hosts = Array.from({ length: CREDENTIALS }, (_, index) => `r${index}.bench.example`)
  const registries = hosts.map((host) => ({ host, upstream: registry.origin.origin }))
  const daemon = await startDaemon({ registries, main, ...startedAs(asInstalled()) })
  stack.defer(() => daemon.close())
  for (const host of hosts) {
    const login = { username: 'ci', password: PASSWORD }
    const { status } = await daemon.rest('PUT', `/v1/registries/${host}/credential`, login)
    if (status >= 300) throw new Error(`a credential is refused with ${status}`)
  }
  const bare = await startServer({
    tool: { command: process.execPath, env: { PATH: process.env['PATH'] }, version: process.version },
    args: [new URL('bare.mjs', import.meta.url).pathname],
    ready: /ready/,
  })
  stack.defer(() => bare.stop())
  await sleep(settleMs)
  const held = stack.move()
  return {
    measures: [
      {
        label: 'wake-ups of an idle daemon',
        sample: async () => {
          const [ours, others] = await Promise.all([daemon.pid, bare.pid].map((pid) => wakeUpsPerSecond(pid, seconds)))
          return { 'wake-ups, regcredd': ours ?? 0, 'wake-ups, bare': others ?? 0 }
        },
      },
    ],
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** How often a process went to sleep again, all its threads together: each sleep ends with a wake-up. */
async function wakeUpsPerSecond(pid: number, seconds: number): Promise<number> {
  const before = await sleepsOf(pid)
  await sleep(seconds * 1_000)
  return ((await sleepsOf(pid)) - before) / seconds
}

async function sleepsOf(pid: number): Promise<number> {
  let sum = 0
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8')
    sum += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1])
  }
  return sum
}
