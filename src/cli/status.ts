import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { leaves, table } from './table.ts'
import { printable } from './terminal.ts'

type Status = { ready: boolean; reasons: string[] } & Record<string, unknown>

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show how the daemon is')
    .action(async (_options, command: Command) => {
      const { ask, show } = contextOf(command)
      const status = (await ask({ method: 'GET', path: '/v1/status' })) as Status
      show(status, (paint) => {
        const { ready, reasons, ...rest } = status
        const verdict = ready ? paint('green', 'ready') : paint('red', 'not ready')
        const lines = reasons.map((reason) => `  ${paint(ready ? 'yellow' : 'red', printable(reason))}`)
        return [verdict, ...lines, '', table(['WHAT', 'VALUE'], leaves(rest), paint)].join('\n')
      })
    })
}
