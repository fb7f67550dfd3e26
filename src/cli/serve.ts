import type { Command } from 'commander'
import { contextOf } from './context.ts'

/** Runs the daemon until the signal is aborted; daemon/serve.ts has it. */
export type Serve = (options: { configPath: string; signal: AbortSignal }) => Promise<void>

export function addServe(program: Command, serve: Serve): void {
  program
    .command('serve')
    .description('run the daemon in the foreground; SIGTERM lets pulls under way finish, a second one does not')
    .action(async (_options, command: Command) => {
      const stopping = new AbortController()
      // `once`: the second signal finds no handler and ends the process.
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopping.abort())
      await serve({ configPath: contextOf(command).configPath, signal: stopping.signal })
    })
}
