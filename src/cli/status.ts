import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { describeNodes, type NodesAnswer } from './nodes.ts'
import { leaves, table } from './table.ts'
import { type Paint, printable } from './terminal.ts'

type FailOver = { registry: string; callers: string; fallback: string; says: string }
type Status = { ready: boolean; reasons: string[]; failOver?: FailOver[] } & Record<string, unknown>

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show how the daemon is, and what clients do without it')
    .option('--fleet', 'show the nodes of the fleet, and which version of each credential they hold')
    .action(async ({ fleet }: { fleet?: true }, command: Command) => {
      const { ask, show } = contextOf(command)
      if (fleet === true) {
        const answer = (await ask({ method: 'GET', path: '/v1/nodes' })) as NodesAnswer
        show(answer, (paint) => describeNodes(answer, paint))
        return
      }
      const status = (await ask({ method: 'GET', path: '/v1/status' })) as Status
      show(status, (paint) => {
        const { ready, reasons, failOver = [], ...rest } = status
        const verdict = ready ? paint('green', 'ready') : paint('red', 'not ready')
        const lines = reasons.map((reason) => `  ${paint(ready ? 'yellow' : 'red', printable(reason))}`)
        const all = table(['WHAT', 'VALUE'], leaves(rest), paint)
        return [verdict, ...lines, '', all, ...failOverTable(failOver, paint)].join('\n')
      })
    })
}

function failOverTable(failOver: FailOver[], paint: Paint): string[] {
  if (failOver.length === 0) return []
  const rows = failOver.map(({ registry, callers, fallback, says }) => [registry, callers, fallback, says])
  return ['', table(['REGISTRY', 'CALLERS', 'FALLBACK', 'AS CLIENTS ARE SET UP'], rows, paint)]
}
