import { type Cell, table } from './table.ts'
import type { Paint } from './terminal.ts'

/** What `GET /v1/nodes` answers. */
export type NodesAnswer = {
  configured: boolean
  node: string | null
  leader: string | null
  fault: string | null
  credentials: {
    host: string
    secretName: string
    standing: string
    seq: number | null
    fleetSeq: number | null
    detail: string | null
  }[]
  nodes:
    | { node: string; live: boolean; silentSeconds: number; leads: boolean; adopted: Record<string, number> }[]
    | null
}

/** The nodes of a fleet with what each of them holds, and how this one stands to them. */
export function describeNodes(answer: NodesAnswer, paint: Paint): string {
  const { configured, nodes, credentials, fault } = answer
  if (!configured) return 'this node is in no fleet'
  const mine = table(
    ['REGISTRY', 'HERE', 'FLEET', 'STANDING', 'DETAIL'],
    credentials.map(({ host, seq, fleetSeq, standing, detail }) => [
      host,
      text(seq),
      text(fleetSeq),
      { text: standing, tone: isWell(standing) ? 'green' : 'red' },
      detail ?? '',
    ]),
    paint,
  )
  const lines = [verdictOf(answer, paint), ...(fault === null ? [] : [`  ${paint('yellow', fault)}`]), '', mine]
  if (nodes === null) return lines.join('\n')
  const hosts = credentials.map(({ host }) => host)
  const newest = new Map(hosts.map((host) => [host, Math.max(...nodes.map(({ adopted }) => adopted[host] ?? 0))]))
  const rows = nodes.map((one): Cell[] => [
    one.node,
    one.live ? { text: 'live', tone: 'green' } : { text: `gone for ${one.silentSeconds} s`, tone: 'red' },
    one.leads ? 'leads' : '',
    ...hosts.map((host): Cell => cellOf(one.adopted[host], newest.get(host) ?? 0)),
  ])
  return [...lines, '', table(['NODE', 'STATE', 'MIRROR', ...hosts], rows, paint)].join('\n')
}

function verdictOf({ node, leader, credentials, nodes }: NodesAnswer, paint: Paint): string {
  const behind = credentials.filter(({ standing }) => !isWell(standing)).length
  if (behind > 0)
    return paint('red', `${behind} of ${credentials.length} credentials of ${node} are not those of the fleet`)
  const count = nodes === null ? '' : `, ${nodes.filter(({ live }) => live).length} of ${nodes.length} nodes are live`
  const leads = leader === null ? 'nobody writes the mirrored Secrets' : `${leader} writes the mirrored Secrets`
  return paint(leader === null ? 'yellow' : 'green', `${node} holds what the fleet holds${count}; ${leads}`)
}

function isWell(standing: string): boolean {
  return standing === 'synced' || standing === 'absent'
}

function cellOf(seq: number | undefined, newest: number): Cell {
  // Its labels do not meet the selector.
  if (seq === undefined) return '-'
  return { text: String(seq), tone: seq === newest ? 'green' : 'yellow' }
}

function text(value: number | null): string {
  return value === null ? '-' : String(value)
}
