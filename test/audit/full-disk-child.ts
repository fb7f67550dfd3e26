/** Fills the small file system that its first argument lies on, by pulls, makes room again, and tells what it saw as JSON. */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { AUDIT_FILE, openAudit } from '../../src/audit/writer.ts'
import { begin, end, optionsFor } from './events.ts'

const MAX_PULLS = 2000
const [folder = '', mode = ''] = process.argv.slice(2)
const faults: { code: string; missing: number }[] = []
const recoveries: { missing: number }[] = []

function codeOf(run: () => void): string {
  try {
    run()
    return 'ok'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  }
}

function text(): string {
  return readFileSync(join(folder, AUDIT_FILE), 'utf8')
}

const ballast = join(folder, 'ballast')
const fd = openSync(ballast, 'w')
writeSync(fd, Buffer.alloc(200 * 1024))
closeSync(fd)

const audit = await openAudit(
  optionsFor(folder, {
    whenFull: mode === 'open' ? 'open' : 'closed',
    onFault: (fault) => faults.push(fault),
    onRecovery: (gap) => recoveries.push(gap),
  }),
)
let written = 0
let together: string[] = []
while (mode === 'together' && written < MAX_PULLS && !together.includes('rejected')) {
  const ten = Array.from({ length: 10 }, () => audit.pullWithOthers(begin))
  together = (await Promise.allSettled(ten)).map(({ status }) => status)
  written += together.filter((status) => status === 'fulfilled').length
}
while (mode !== 'together' && written < MAX_PULLS && faults.length === 0) {
  if (codeOf(() => audit.pull(begin)) !== 'ok' || faults.length > 0) break
  written += 1
}
const full = {
  written,
  together,
  text: text(),
  pull: codeOf(() => audit.pull(end)),
  act: codeOf(() =>
    audit.act({
      type: 'admin.intent',
      id: 'a',
      actor: { via: 'daemon', name: undefined },
      action: 'x',
      target: 'y',
      outcome: undefined,
      detail: undefined,
    }),
  ),
  event: codeOf(() => audit.event({ type: 'daemon.stop', detail: {} })),
  check: audit.check(),
  faults: [...faults],
}
rmSync(ballast)
const recovered = { check: audit.check(), pull: codeOf(() => audit.pull(end)), recoveries }
audit.close()
process.stdout.write(JSON.stringify({ full, recovered, text: text() }))
