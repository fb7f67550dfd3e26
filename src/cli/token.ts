import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { type Cell, table } from './table.ts'
import { addTokenCreate, type TokenAnswer } from './token-create.ts'

export function addToken(program: Command): void {
  const token = program.command('token').description('tokens for callers from elsewhere (admin.tls), such as CI jobs')
  addTokenCreate(token)
  token
    .command('list')
    .description('list the tokens, without what makes them good')
    .action(async (_options, command: Command) => {
      const { ask, show } = contextOf(command)
      const answer = (await ask({ method: 'GET', path: '/v1/tokens' })) as { tokens: TokenAnswer[] }
      const head = ['TOKEN', 'NAME', 'SCOPES', 'EXPIRES', 'LAST USED']
      show(answer, (paint) => table(head, answer.tokens.map(row), paint))
    })
  token
    .command('revoke')
    .argument('<id>', 'as token list shows it')
    .description('end a token, at once')
    .action(async (id: string, _options, command: Command) => {
      const { ask, show } = contextOf(command)
      await ask({ method: 'DELETE', path: `/v1/tokens/${encodeURIComponent(id)}` })
      show({ revoked: id }, () => `${id} is revoked`)
    })
}

function row({ id, name, scopes, expiresAt, lastUsedAt }: TokenAnswer): Cell[] {
  const isExpired = Date.parse(expiresAt) <= Date.now()
  const expiry: Cell = isExpired ? { text: `${expiresAt} (expired)`, tone: 'yellow' } : expiresAt
  return [id, name ?? '-', scopes.join(' '), expiry, lastUsedAt ?? 'never']
}
