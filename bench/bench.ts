// Measures regcredd against its peers, all in one run, and prints the table.
//   npm run bench [-- --json] [--quick]
// Writes the table to docs/performance.md, but for --quick: one short round, to see that it works; its figures mean nothing.
import { parseArgs } from 'node:util'
import { blobMeasures } from './blob.ts'
import { describeMachine } from './machine.ts'
import { interleave } from './measure.ts'
import { writePerformancePage } from './page.ts'
import { jsonOf, tableOf } from './result.ts'
import { startRig } from './rig.ts'
import { clientNote, resultsOf, sourcesNote } from './rows.ts'
import { smallMeasures } from './small.ts'
import { startUpMeasures } from './start-up.ts'

const { json, quick } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' } } }).values
const plan = quick
  ? { rounds: 1, seconds: 1, settleMs: 200, blobBytes: 4_000_000 }
  : { rounds: 5, seconds: 2, settleMs: 1_500, blobBytes: 200_000_000 }

const say = (text: string) => process.stderr.write(`${text}\n`)
// The servers that it started end with it (server-process.ts); a signal's default action would leave them behind.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130))

const machine = describeMachine()
const lines: string[] = []
{
  await using rig = await startRig(plan.blobBytes, say)
  const { seconds } = plan
  const measures = [
    ...blobMeasures(rig, 1, seconds),
    ...(quick ? [] : blobMeasures(rig, 8, seconds)),
    ...smallMeasures(rig, seconds),
    ...startUpMeasures(rig, plan.settleMs),
  ]
  say(
    `${plan.rounds} rounds of ${measures.length} measures, about ${Math.ceil(measures.length * (seconds + 0.2))} s each`,
  )
  const values = await interleave(measures, plan.rounds, (round, label, sample) => {
    const [first = 0] = Object.values(sample)
    say(`  round ${round} of ${plan.rounds}  ${label.padEnd(34)}${first.toFixed(0).padStart(7)}`)
  })
  const results = resultsOf(values)
  const facts = [...machine, clientNote(values), sourcesNote(values)]
  lines.push(tableOf(results), '', ...facts.map((fact) => `- ${fact}`))
  if (!quick) await writePerformancePage(lines.join('\n'))
  if (json) lines.push('', jsonOf(results))
}
process.stdout.write(`${lines.join('\n')}\n`)
