// Measures regcredd against its peers, all in one run, and prints the table.
//   npm run bench [-- --json] [--quick]
// Writes the table to docs/performance.md, but for --quick: one short round, to see that it works; its figures mean nothing.
import { parseArgs } from 'node:util'
import { findTool } from '../test/helpers/tools.ts'
import { blobMeasures } from './blob.ts'
import { describeMachine } from './machine.ts'
import { interleave } from './measure.ts'
import { writePerformancePage } from './page.ts'
import { burstMeasure, pullMeasures } from './pull.ts'
import { startPullRig } from './pull-rig.ts'
import { jsonOf, tableOf } from './result.ts'
import { startRig } from './rig.ts'
import { clientNote, resultsOf, sourcesNote } from './rows.ts'
import { slowMeasures, startSlowRig } from './slow.ts'
import { smallMeasures } from './small.ts'
import { startUpMeasures } from './start-up.ts'

const { json, quick } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' } } }).values
const plan = quick
  ? { rounds: 1, seconds: 1, settleMs: 200, blobBytes: 4_000_000, readers: 100 }
  : { rounds: 5, seconds: 2, settleMs: 1_500, blobBytes: 200_000_000, readers: 1_000 }

const say = (text: string) => process.stderr.write(`${text}\n`)
// The servers that it started end with it (server-process.ts); a signal's default action would leave them behind.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130))

const machine = describeMachine()
const lines: string[] = []
{
  await using rig = await startRig(plan.blobBytes, say)
  const { seconds, readers } = plan
  const { folder, main } = rig
  await using pulls = await startPulls()
  await using slow = rig.light && (await startSlowRig(folder, main, readers))
  const measures = [
    ...blobMeasures(rig, 1, seconds),
    ...(quick ? [] : blobMeasures(rig, 8, seconds)),
    ...smallMeasures(rig, seconds),
    ...(pulls ? [...pullMeasures(pulls), burstMeasure(pulls)] : []),
    ...(slow ? slowMeasures(slow, readers, seconds) : []),
    ...startUpMeasures(rig, plan.settleMs),
  ]
  say(`${plan.rounds} rounds of ${measures.length} measures`)
  const values = await interleave(measures, plan.rounds, (round, label, sample) => {
    const [first = 0] = Object.values(sample)
    say(
      `  round ${round} of ${plan.rounds}  ${label.padEnd(34)}${(first < 10 ? first.toFixed(2) : first.toFixed(0)).padStart(7)}`,
    )
  })
  const results = resultsOf(values)
  const facts = [...machine, clientNote(values), sourcesNote(values)]
  lines.push(tableOf(results), '', ...facts.map((fact) => `- ${fact}`))
  if (!quick) await writePerformancePage(lines.join('\n'))
  if (json) lines.push('', jsonOf(results))

  async function startPulls() {
    if ('missing' in findTool('crane')) return void say('no crane: pulls of whole images are left out')
    say('pushing images to two registries with tokens')
    return startPullRig(folder, { main, largeBytes: plan.blobBytes, bursts: plan.rounds })
  }
}
process.stdout.write(`${lines.join('\n')}\n`)
