import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { type Cell, table } from './table.ts'

type Listed = {
  host: string
  upstream: string
  mode: 'optional' | 'required'
  credential: { username: string; version: string; createdAt: string; pending: boolean } | null
}

export function addList(program: Command): void {
  program
    .command('list')
    .description('list the registries and whose credentials are stored')
    .action(async (_options, command: Command) => {
      const { ask, show } = contextOf(command)
      const answer = (await ask({ method: 'GET', path: '/v1/registries' })) as { registries: Listed[] }
      const head = ['REGISTRY', 'USERNAME', 'VERSION', 'SINCE', 'STATE', 'UPSTREAM']
      show(answer, (paint) => table(head, answer.registries.map(row), paint))
    })
}

function row({ host, credential, mode, upstream }: Listed): Cell[] {
  if (credential !== null) {
    const { username, version, createdAt, pending } = credential
    const state: Cell = pending ? { text: 'rotating', tone: 'yellow' } : { text: 'ready', tone: 'green' }
    return [host, username, version, createdAt, state, upstream]
  }
  const state: Cell = mode === 'required' ? { text: 'missing', tone: 'red' } : 'anonymous'
  return [host, '-', '-', '-', state, upstream]
}
