import type { Command } from 'commander'
import { retireCallerTokens, rotateCallerToken } from '../caller-token-file.ts'
import { contextOf } from './context.ts'

const acts = {
  rotate: {
    description: 'put a new caller token first and keep the last one, so that clients can follow one by one',
    run: rotateCallerToken,
    next: 'Give clients the new one (regcredd clients show CLIENT --show-token), then end the old one: regcredd caller-token retire',
  },
  retire: {
    description: 'end all caller tokens but the newest',
    run: retireCallerTokens,
    next: 'Only the newest caller token is good now.',
  },
}

export function addCallerToken(program: Command): void {
  const command = program
    .command('caller-token')
    .description('change what pulls must show (proxy.callers "token"); the daemon follows within seconds')
  for (const [name, { description, run, next }] of Object.entries(acts)) {
    command
      .command(name)
      .description(description)
      .action(async (_options, command: Command) => {
        const { configPath, show } = contextOf(command)
        const { loadConfig } = await import('../config/load.ts')
        const { callerTokenFile } = (await loadConfig(configPath)).proxy
        const good = await run(callerTokenFile)
        show({ callerTokenFile, good }, () => `${callerTokenFile}: ${good} good. ${next}`)
      })
  }
}
