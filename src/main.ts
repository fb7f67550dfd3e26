#!/usr/bin/env node
import util from 'node:util'

// http-proxy takes util._extend as it loads; Node warns of that on standard error (DEP0060), and says to use Object.assign.
Object.assign(util, { _extend: Object.assign })
const { runCli } = await import('./cli/run.ts')
process.exitCode = await runCli(process.argv.slice(2), async (options) =>
  (await import('./daemon/serve.ts')).serve(options),
)
