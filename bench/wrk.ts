import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { needTool } from '../test/helpers/tools.ts'
import { cpuSeconds } from './cpu.ts'

const run = promisify(execFile)
const WATCH_EVERY_MS = 100

export type Load = { url: string; headers: Record<string, string>; connections: number; seconds: number }
export type Served = { requestsPerSecond: number; megabytesPerSecond: number }

/**
 * Asks for one URL over and over, by wrk in a process of its own, with connections kept alive. Bytes count as they arrive, so a blob
 * need not end in time. `clientBusy` is the share of one core that wrk, of one thread, used: near 1 it would be what is measured. Rejects if any answer is not 2xx or any connection fails.
 */
export async function runWrk(
  { url, headers, connections, seconds }: Load,
  folder: string,
): Promise<Served & { clientBusy: number }> {
  const tool = needTool('wrk')
  // Headers hold passwords, and arguments are for everybody to see.
  const script = join(folder, 'wrk.lua')
  const lines = Object.entries(headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"\n`)
  await writeFile(script, lines.join('') + REPORT, { mode: 0o600 })
  const args = ['--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`, '--timeout', '60s']
  const running = run(tool.command, [...args, '--script', script, url], { env: tool.env })
  const { pid = 0 } = running.child
  const startedAt = performance.now()
  let clientBusy = 0
  const watch = setInterval(async () => {
    const spent = await cpuSeconds(pid)
    if (spent !== undefined) clientBusy = spent / ((performance.now() - startedAt) / 1000)
  }, WATCH_EVERY_MS)
  try {
    return { ...parseReport((await running).stdout), clientBusy }
  } finally {
    clearInterval(watch)
  }
}

const REPORT = `done = function(summary)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("\\nreport %.0f %.0f %.0f %.0f\\n", summary.duration, summary.requests, summary.bytes, failed))
end
`

/** Reads the line that our script has wrk print: microseconds, requests, bytes, failures. */
export function parseReport(output: string): Served {
  const [, microseconds, requests, bytes, failures] = /^report (\d+) (\d+) (\d+) (\d+)$/m.exec(output) ?? []
  if (microseconds === undefined) throw new Error(`wrk gave no report:\n${output}`)
  if (Number(failures) > 0 || Number(bytes) === 0) throw new Error(`${failures} requests failed, ${bytes} bytes came`)
  const seconds = Number(microseconds) / 1e6
  return { requestsPerSecond: Number(requests) / seconds, megabytesPerSecond: Number(bytes) / 1e6 / seconds }
}
