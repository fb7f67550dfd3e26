// A process that is meant to die: `crash-child.ts <folder> <act> <n>` kills itself with SIGKILL at the n-th point that it passes, and
// writes down the points in <folder>/points.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { perform } from './crash-act.ts'

const [folder = '', act = '', at = ''] = process.argv.slice(2)
let passed = 0

await perform(folder, act, process.env, (point) => {
  passed += 1
  appendFileSync(join(folder, 'points'), `${point}\n`)
  if (passed !== Number(at)) return
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
