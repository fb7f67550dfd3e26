#!/usr/bin/env node
const { runCli } = await import('./cli/run.ts')
process.exitCode = await runCli(process.argv.slice(2), async (options) => (await import('./daemon.ts')).serve(options))
