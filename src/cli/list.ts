import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { type Cell, table } from './table.ts'

type Listed = {
  host: string
  /** `null`: the configuration no longer lists it. */
  upstream: string | null
  mode: 'optional' | 'required' | null
  credential: { username: string; version: string; createdAt: string; pending: boolean } | null
}

export function addList(program: Command): void {
  program
    .command('list')
    .description('list the registries and whose credentials are stored')
    .action(async (_options, command: Command) => {
      const { ask, show, note } = contextOf(command)
      const path = '/v1/registries'
      const answer = (await ask({ method: 'GET', path })) as { registries: Listed[]; complete?: boolean }
      if (answer.complete === false)
        note('the keychain cannot be read now; credentials of registries that are no longer listed may be missing here')
      const head = ['REGISTRY', 'USERNAME', 'VERSION', 'SINCE', 'STATE', 'UPSTREAM']
      show(answer, (paint) => table(head, answer.registries.map(row), paint))
    })
}

function row({ host, credential, mode, upstream }: Listed): Cell[] {
  if (credential !== null) {
    const { username, version, createdAt, pending } = credential
    if (upstream === null) return [host, username, version, createdAt, { text: 'unlisted', tone: 'yellow' }, '-']
    const state: Cell = pending ? { text: 'rotating', tone: 'yellow' } : { text: 'ready', tone: 'green' }
    return [host, username, version, createdAt, state, upstream]
  }
  const state: Cell = mode === 'required' ? { text: 'missing', tone: 'red' } : 'anonymous'
  return [host, '-', '-', '-', state, upstream ?? '-']
}
