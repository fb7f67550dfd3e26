import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { RegcreddError } from '../errors.ts'
import { type Context, contextOf } from './context.ts'
import { leaves } from './table.ts'
import { type Paint, printable } from './terminal.ts'

type AuditLine = { seq: number; time: string; type: string } & Record<string, unknown>

const POLL_INTERVAL_MS = 1_000
const PAGE = 1_000
/** How long the daemon may be away, as while it restarts. */
const MAX_SILENT_POLLS = 60

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('read the audit')
  audit
    .command('tail')
    .description('show the last records; one JSON line each with --json')
    .option('-n, --lines <count>', 'how many, 0 to 1000', lines, 20)
    .option('-f, --follow', 'go on with new ones until interrupted')
    .action(async (options: { lines: number; follow?: true }, command: Command) => {
      const context = contextOf(command)
      // Of -n 0 the newest is still asked for: it tells where to go on.
      const last = await getRecords(context, `limit=${Math.max(options.lines, 1)}`)
      print(context, options.lines === 0 ? [] : last)
      if (options.follow) await follow(context, last.at(-1)?.seq ?? 0)
    })
}

/** Ends only by a signal, by a reader that goes away, or when the daemon does not come back. */
async function follow(context: Context, from: number): Promise<never> {
  let after = from
  let silentPolls = 0
  for (;;) {
    const records = await getRecords(context, `limit=${PAGE}&after=${after}`).catch((thrown: unknown) => {
      silentPolls += 1
      const isAway = thrown instanceof RegcreddError && thrown.code === 'DAEMON_UNREACHABLE'
      if (!isAway || silentPolls > MAX_SILENT_POLLS) throw thrown
      return undefined
    })
    if (records !== undefined) silentPolls = 0
    print(context, records ?? [])
    after = records?.at(-1)?.seq ?? after
    if (records?.length !== PAGE) await sleep(POLL_INTERVAL_MS)
  }
}

async function getRecords({ ask }: Context, query: string): Promise<AuditLine[]> {
  return ((await ask({ method: 'GET', path: `/v1/audit?${query}` })) as { records: AuditLine[] }).records
}

function print({ isJson, paint }: Context, records: AuditLine[]): void {
  for (const record of records) {
    process.stdout.write(`${isJson ? JSON.stringify(record) : describe(record, paint)}\n`)
  }
}

function describe({ seq: _seq, time, type, node: _node, ...rest }: AuditLine, paint: Paint): string {
  const facts = leaves(rest).filter(([, text]) => text !== '-')
  return [
    printable(time),
    printable(type).padEnd(13),
    ...facts.map(([key, text]) => `${paint('dim', `${key}=`)}${printable(text)}`),
  ].join(' ')
}

function lines(text: string): number {
  const value = Number(text)
  if (/^[0-9]{1,4}$/.test(text) && value <= PAGE) return value
  throw new InvalidArgumentError(`It must be a whole number from 0 to ${PAGE}.`)
}
