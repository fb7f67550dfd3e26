import { type Cell, table } from './table.ts'
import type { Paint } from './terminal.ts'

type MirroredSecret = { namespace: string; secretName: string; serviceAccounts: string[] }

export type DryRunAnswer = {
  host: string
  way: string
  refusals: { code: string; detail: string | null }[]
  current: { version: string; username: string; verdict: string; detail: string | null } | null
  forgotten: string | null
  hook: { command: string; timeoutMs: number } | null
  canary: string | null
  deadlineSeconds: number
  graceSeconds: number
  pulls: { count: number; days: number } | null
  kubernetes: { secrets: MirroredSecret[]; nodes: string[] } | null
}

/** What a rotation would do, as a table; what would be refused comes first. */
export function describeDryRun(found: DryRunAnswer, paint: Paint): string {
  const { current, pulls, kubernetes, forgotten } = found
  const refusals: Cell[][] = found.refusals.map(({ code, detail }) => [
    'refused',
    { text: detail === null ? code : `${code}: ${detail}`, tone: 'red' },
  ])
  const verdict = current?.verdict === 'accepted' ? 'green' : 'yellow'
  const rows: Cell[][] = [
    ...refusals,
    ['in force', current === null ? '-' : `${current.version} of ${current.username}`],
    ['the registry says', current === null ? '-' : { text: current.verdict, tone: verdict }],
    ['set there by', setBy(found)],
    ['verified at', found.canary ?? '/v2/'],
    ['dropped after', `${found.deadlineSeconds} s, if the registry does not accept it`],
    ['PREVIOUS is kept', `${found.graceSeconds} s${forgotten === null ? '' : `; ${forgotten} is forgotten`}`],
    ['pulls with it', pulls === null ? '-' : `${pulls.count} in ${pulls.days} days`],
    ['Secrets', kubernetes === null ? '-' : namesOf(kubernetes.secrets)],
    ['nodes', kubernetes === null ? '-' : kubernetes.nodes.join(', ')],
  ]
  return table(['DRY RUN', `${found.host}, ${found.way}`], rows, paint)
}

function setBy({ hook, way }: DryRunAnswer): string {
  if (hook !== null) return `${hook.command}, at most ${hook.timeoutMs} ms`
  return way === 'provided' ? 'you' : '-'
}

function namesOf(secrets: MirroredSecret[]): string {
  const shown = secrets
    .slice(0, 10)
    .map(({ namespace, secretName, serviceAccounts: accounts }) =>
      accounts.length === 0 ? `${namespace}/${secretName}` : `${namespace}/${secretName} (${accounts.join(', ')})`,
    )
  return (
    [...shown, ...(secrets.length > shown.length ? [`${secrets.length - shown.length} more`] : [])].join(', ') || '-'
  )
}
