import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { type MirrorRow, outcomeCell } from './rotation-progress.ts'
import { table } from './table.ts'
import type { Paint } from './terminal.ts'

type Result = MirrorRow & { host: string; at: string; serviceAccounts?: { name: string; outcome: string }[] }
type Writer = { node: string; leader: string | null; writes: boolean }
type MirrorAnswer = {
  configured: boolean
  stale: boolean
  fault: string | null
  results: Result[]
  fleet: Writer | null
}

export function addMirror(program: Command): void {
  program
    .command('mirror')
    .description('show what became of each mirrored Secret')
    .action(async (_options, command: Command) => {
      const { ask, show } = contextOf(command)
      const answer = (await ask({ method: 'GET', path: '/v1/mirror' })) as MirrorAnswer
      show(answer, (paint) => describeMirror(answer, paint))
    })
}

function describeMirror({ configured, stale, fault, results, fleet }: MirrorAnswer, paint: Paint): string {
  if (!configured) return 'no cluster is configured'
  if (fleet !== null && !fleet.writes) return elsewhere(fleet, paint)
  const hasAccounts = results.some(({ serviceAccounts = [] }) => serviceAccounts.length > 0)
  const rows = results.map(({ host, namespace, secretName, outcome, serviceAccounts = [], at, detail }) => [
    host,
    namespace,
    secretName,
    outcomeCell(outcome),
    ...(hasAccounts ? [serviceAccounts.map(accountText).join(', ') || '-'] : []),
    at,
    detail ?? '',
  ])
  const accounts = hasAccounts ? ['SERVICEACCOUNTS'] : []
  const head = ['REGISTRY', 'NAMESPACE', 'SECRET', 'OUTCOME', ...accounts, 'AT', 'DETAIL']
  const why = fault === null ? [] : [`  ${paint('yellow', fault)}`]
  const verdict = [verdictOf(results, stale, paint), ...why].join('\n')
  return results.length === 0 ? verdict : [verdict, '', table(head, rows, paint)].join('\n')
}

/** A node that does not write knows nothing of the Secrets, and an empty table would look as if there were none. */
function elsewhere({ node, leader }: Writer, paint: Paint): string {
  if (leader === null) return paint('yellow', `${node} does not write the Secrets, and no node is known to`)
  return `${node} does not write the Secrets; ${leader} does, and regcredd mirror there shows them`
}

/** A ServiceAccount that names the Secret needs no word. */
function accountText({ name, outcome }: { name: string; outcome: string }): string {
  return outcome === 'added' || outcome === 'unchanged' ? name : `${name} (${outcome})`
}

function verdictOf(results: MirrorRow[], stale: boolean, paint: Paint): string {
  const missing = results.filter(({ outcome }) => outcome === 'failed' || outcome === 'foreign').length
  if (missing > 0) return paint('red', `${missing} of ${results.length} Secrets do not hold the credential`)
  if (!stale) return paint('green', 'up to date')
  const what = results.length === 0 ? 'nothing has been checked yet' : 'some Secret was not checked lately'
  return paint('yellow', `stale: ${what}`)
}
