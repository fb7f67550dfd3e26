import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { exitCodes } from './exit-code.ts'
import { type Cell, table } from './table.ts'
import type { Paint } from './terminal.ts'

type Right = {
  namespace: string | null
  verb: string
  resource: string
  name: string | null
  purpose: string
  allowed: boolean
}
type Rights = { complete: boolean; rights: Right[] }

/** More lines than this are no help on a terminal: only what is missing is shown then. */
const MOST_ROWS = 60

export function addKubernetesCheck(group: Command): void {
  group
    .command('check')
    .description('ask the cluster for every right that the configuration needs; ends with 1 when one is missing')
    .action(async (_options, command: Command) => {
      const { ask, show } = contextOf(command)
      const answer = (await ask({ method: 'GET', path: '/v1/kubernetes/check' })) as Rights
      if (!answer.complete) process.exitCode = exitCodes.refused
      show(answer, (paint) => describe(answer, paint))
    })
}

function describe({ complete, rights }: Rights, paint: Paint): string {
  const missing = rights.filter(({ allowed }) => !allowed)
  const verdict = complete
    ? paint('green', `all ${rights.length} rights are there`)
    : paint('red', `${missing.length} of ${rights.length} rights are missing; kubernetes/ has manifests that give them`)
  const told = rights.length <= MOST_ROWS ? rights : missing
  const left = told.length - MOST_ROWS
  const rows = told
    .slice(0, MOST_ROWS)
    .map(({ namespace, verb, resource, name, purpose, allowed }): Cell[] => [
      namespace ?? '*',
      verb,
      name === null ? resource : `${resource}/${name}`,
      allowed ? { text: 'yes', tone: 'green' } : { text: 'no', tone: 'red' },
      purpose,
    ])
  const all = rows.length === 0 ? [] : ['', table(['NAMESPACE', 'VERB', 'ON', 'ALLOWED', 'NEEDED'], rows, paint)]
  return [verdict, ...all, ...(left > 0 ? [`and ${left} more; --json has all`] : [])].join('\n')
}
