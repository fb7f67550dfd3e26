import { setTimeout as sleep } from 'node:timers/promises'
import { RegcreddError } from '../errors.ts'
import type { Context } from './context.ts'
import { type Cell, table } from './table.ts'
import type { Paint } from './terminal.ts'

export type MirrorRow = { namespace: string; secretName: string; outcome: string; detail?: string | null }

export type RotationAnswer = {
  id: string
  host: string
  state: string
  version: string
  deadline: string
  startedAt: string
  endedAt: string | null
  code: string | null
  mirror: MirrorRow[]
}

const POLL_INTERVAL_MS = 500
/** How long the daemon may be away, as while it restarts: it takes the rotation up again. */
const MAX_SILENT_POLLS = 60
/** A mirror that is slow does not hold up who rotates; the daemon goes on with it. */
const MIRROR_PATIENCE_MS = 60_000
const DEADLINE_GRACE_MS = 60_000

export async function getRotation(ask: Context['ask'], id: string): Promise<RotationAnswer> {
  return (await ask({ method: 'GET', path: `/v1/rotations/${encodeURIComponent(id)}` })) as RotationAnswer
}

/** Tells of every change of state on stderr, until the rotation has ended or only a slow mirror is left. Gives what was last seen. */
export async function followRotation(context: Context, started: RotationAnswer): Promise<RotationAnswer> {
  let seen = started
  let silentPolls = 0
  let committedAtMs: number | undefined
  context.note(progressLine(seen))
  const giveUpAtMs = Date.parse(started.deadline) + DEADLINE_GRACE_MS
  while (!hasEnded(seen)) {
    if (seen.state === 'COMMITTED') committedAtMs ??= Date.now()
    if (committedAtMs !== undefined && Date.now() - committedAtMs > MIRROR_PATIENCE_MS) break
    if (committedAtMs === undefined && Date.now() > giveUpAtMs) break
    await sleep(POLL_INTERVAL_MS)
    const next = await getRotation(context.ask, seen.id).catch((thrown: unknown) => {
      silentPolls += 1
      if (!isUnreachable(thrown) || silentPolls > MAX_SILENT_POLLS) throw thrown
      return undefined
    })
    if (next === undefined) continue
    silentPolls = 0
    if (next.state !== seen.state) context.note(progressLine(next))
    seen = next
  }
  return seen
}

/** The rotation as lines, with a table of its Secrets. */
export function describeRotation(rotation: RotationAnswer, paint: Paint): string {
  const { id, host, state, version, startedAt, endedAt, deadline, code, mirror } = rotation
  const tone = state === 'ABORTED' ? 'red' : hasEnded(rotation) ? 'green' : 'yellow'
  const facts: Cell[][] = [
    ['registry', host],
    ['state', { text: code === null ? state : `${state} (${code})`, tone }],
    ['version', version],
    ['started', startedAt],
    endedAt === null ? ['deadline', deadline] : ['ended', endedAt],
  ]
  const secrets = mirror.length === 0 ? [] : ['', mirrorTable(mirror, paint)]
  return [table(['ROTATION', id], facts, paint), ...secrets].join('\n')
}

export function hasEnded({ state }: RotationAnswer): boolean {
  return state === 'MIRRORED' || state === 'ABORTED'
}

function mirrorTable(mirror: MirrorRow[], paint: Paint): string {
  const rows = mirror.map(({ namespace, secretName, outcome, detail }) => [
    namespace,
    secretName,
    outcomeCell(outcome),
    detail ?? '',
  ])
  return table(['NAMESPACE', 'SECRET', 'OUTCOME', 'DETAIL'], rows, paint)
}

export function outcomeCell(outcome: string): Cell {
  const tone = outcome === 'failed' ? 'red' : outcome === 'foreign' || outcome === 'orphan' ? 'yellow' : 'green'
  return { text: outcome, tone }
}

function progressLine({ state, version, deadline, code, mirror }: RotationAnswer): string {
  switch (state) {
    case 'STAGED':
      return `STAGED     ${version} waits until the registry accepts it, at most until ${deadline}`
    case 'COMMITTED':
      return `COMMITTED  ${version} is in force`
    case 'MIRRORED':
      return `MIRRORED   ${mirror.length} Secret${mirror.length === 1 ? '' : 's'} seen to`
    case 'ABORTED':
      return `ABORTED    ${version} is dropped${code === null ? '' : ` (${code})`}; the password before it stays in force`
    default:
      return state
  }
}

function isUnreachable(thrown: unknown): boolean {
  return thrown instanceof RegcreddError && thrown.code === 'DAEMON_UNREACHABLE'
}
