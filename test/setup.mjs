// Adds what the demo, the tests or the benchmarks need, and says so. Idempotent; the second run adds nothing.
//   node test/setup.mjs demo|test|bench [--kubernetes] [--json]
// Runs before node_modules is there, on Node 20 or later. It removes, replaces and starts nothing.

import { dropBorrowedGo } from './setup/go.mjs'
import { addGoTools } from './setup/go-tools.mjs'
import { addKubernetes, presentKubernetes } from './setup/kubernetes.mjs'
import { beQuiet, cacheDir, isDebian, say, withLock } from './setup/machine.mjs'
import { addKeytar, addNodeModules, prepareKeytar } from './setup/npm.mjs'
import { addDebianTools, writeToolsFile } from './setup/tools.mjs'

const [mode, ...options] = process.argv.slice(2)
const unknown = options.filter((option) => option !== '--json' && option !== '--kubernetes')
if (!['demo', 'test', 'bench'].includes(mode) || unknown.length > 0) {
  process.stderr.write('usage: node test/setup.mjs demo|test|bench [--kubernetes] [--json]\n')
  process.exit(64)
}
const json = options.includes('--json')
if (json) beQuiet()

const rows = await withLock(async () => {
  if (!isDebian) say('not Debian: only the npm packages are added; real parts are used where PATH has them')
  const node = await addNodeModules()
  const tools = await addDebianTools(mode, await prepareKeytar())
  const keytar = await addKeytar()
  const kubernetes =
    mode === 'test' || options.includes('--kubernetes') ? await addKubernetes() : await presentKubernetes()
  const built = [...(await addGoTools(mode)), ...kubernetes]
  dropBorrowedGo()
  writeToolsFile([...tools, ...built])
  return [node, keytar, ...tools, ...built]
})

if (json)
  process.stdout.write(`${JSON.stringify({ cacheDir, parts: rows.map(({ path, libraryPath, ...row }) => row) })}\n`)
else for (const row of rows) say(line(row))

const missing = rows.filter((row) => row.missing)
if (missing.length > 0) {
  say(`${missing.length} of ${rows.length} parts are missing; what needs them is skipped, with the reason`)
  if (process.env.CI === 'true') {
    say('CI=true: nothing may be skipped')
    process.exitCode = 1
  }
}

function line({ name, missing, version, where, added }) {
  if (missing) return `${name.padEnd(25)}MISSING  ${missing}`
  return `${name.padEnd(25)}${added ? 'added  ' : 'present'}  ${version.padEnd(19)}${where}`
}
