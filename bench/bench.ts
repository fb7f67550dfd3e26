// Measures regcredd against its peers, all in one run, and prints the tables.
//   npm run bench [-- --json] [--quick] [--only pulls|keychain|kubernetes]
// Writes the tables to docs/performance.md, but for --quick and --only. --quick: one short round, to see that it works; its figures mean nothing.
import { parseArgs } from 'node:util'
import { groups, type Plan } from './groups.ts'
import { describeMachine } from './machine.ts'
import { interleave } from './measure.ts'
import { writePerformancePage } from './page.ts'
import { jsonOf, type Result, tableOf } from './result.ts'
import { startRig } from './rig.ts'
import { clientNote, resultsOf, sourcesNote } from './rows.ts'

const options = { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } } as const
const { json, quick, only } = parseArgs({ options }).values
const chosen = groups.filter(({ name }) => only === undefined || name === only)
if (chosen.length === 0) throw new RangeError(`--only takes one of ${groups.map(({ name }) => name).join(', ')}`)
const plan: Plan = quick
  ? {
      ...{ kind: 'quick', rounds: 1, seconds: 1, settleMs: 200, blobBytes: 4_000_000, readers: 100 },
      ...{ rotationSeconds: 2, idleSeconds: 1, namespaces: 20, watched: 200, nodes: 5 },
    }
  : {
      ...{ kind: 'whole', rounds: 5, seconds: 2, settleMs: 1_500, blobBytes: 200_000_000, readers: 1_000 },
      ...{ rotationSeconds: 5, idleSeconds: 10, namespaces: 1_000, watched: 5_000, nodes: 50 },
    }

const say = (text: string) => process.stderr.write(`${text}\n`)
// The servers that it started end with it (server-process.ts); a signal's default action would leave them behind.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130))

const facts = describeMachine()
const lines: string[] = []
const all: Result[] = []
{
  await using rig = await startRig(plan.blobBytes, say)
  // One group after another, so that what one keeps running does not disturb the next.
  for (const group of chosen) {
    await using stack = new AsyncDisposableStack()
    say(`## ${group.title}`)
    const measures = await group.start(rig, plan, stack, say)
    const rounds = group.rounds(plan)
    say(`${rounds} rounds of ${measures.length} measures`)
    const values = await interleave(measures, rounds, (round, label, sample) => {
      const [first = 0] = Object.values(sample)
      say(
        `  round ${round} of ${rounds}  ${label.padEnd(38)}${(first < 10 ? first.toFixed(2) : first.toFixed(0)).padStart(7)}`,
      )
    })
    const results = resultsOf(values)
    all.push(...results)
    lines.push(`### ${group.title}`, '', tableOf(results), '')
    if (group.name === 'pulls') facts.push(clientNote(values), sourcesNote(values))
  }
}
lines.push(...facts.map((fact) => `- ${fact}`))
if (!quick && only === undefined) await writePerformancePage(lines.join('\n'))
if (json) lines.push('', jsonOf(all))
process.stdout.write(`${lines.join('\n')}\n`)
