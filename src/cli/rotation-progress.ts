import { setTimeout as sleep } from 'node:timers/promises'
import { RegcreddError } from '../errors.ts'
import type { Context } from './context.ts'
import { exitCodes } from './exit-code.ts'
import { Refusal } from './refusal.ts'
import { type Cell, table } from './table.ts'
import { type Paint, printable } from './terminal.ts'

export type MirrorRow = { namespace: string; secretName: string; outcome: string; detail?: string | null }

export type RotationAnswer = {
  id: string
  host: string
  state: string
  way: string
  version: string
  deadline: string
  startedAt: string
  endedAt: string | null
  graceEndsAt: string | null
  rollbackOf: string | null
  code: string | null
  note: string | null
  steps: { state: string; at: string }[]
  mirror: MirrorRow[]
}

const LOOK_INTERVAL_MS = 500
/** A stream is asked for anew after this, so that nobody waits on one that is dead. */
const STREAM_MS = 20_000
/** How long the daemon may be away, as while it restarts: it takes the rotation up again. */
const MAX_SILENT_LOOKS = 60
/** A mirror that is slow does not hold up who rotates; the daemon goes on with it. */
const MIRROR_PATIENCE_MS = 60_000
const DEADLINE_GRACE_MS = 60_000

export async function getRotation(ask: Context['ask'], id: string): Promise<RotationAnswer> {
  return (await ask({ method: 'GET', path: rotationPath(id) })) as RotationAnswer
}

export function rotationPath(id: string, act = ''): string {
  return `/v1/rotations/${encodeURIComponent(id)}${act}`
}

/** Tells of every step and of what it waits for on stderr, until the rotation has ended or only a slow mirror is left. Gives what was last seen. */
export async function followRotation(context: Context, started: RotationAnswer): Promise<RotationAnswer> {
  let seen = started
  let silentLooks = 0
  let committedAtMs: number | undefined
  const tell = createTeller(context)
  tell(seen)
  const giveUpAtMs = Date.parse(started.deadline) + DEADLINE_GRACE_MS
  while (!hasEnded(seen)) {
    if (seen.state === 'COMMITTED') committedAtMs ??= Date.now()
    if (committedAtMs !== undefined && Date.now() - committedAtMs > MIRROR_PATIENCE_MS) break
    if (committedAtMs === undefined && Date.now() > giveUpAtMs) break
    try {
      await look(context, seen.id, (next) => {
        silentLooks = 0
        tell(next)
        seen = next
      })
    } catch (thrown) {
      silentLooks += 1
      if (!isUnreachable(thrown) || silentLooks > MAX_SILENT_LOOKS) throw thrown
    }
    if (!hasEnded(seen)) await sleep(LOOK_INTERVAL_MS)
  }
  return seen
}

/** Tells each change for a while; where there are too many who follow, how it is now. */
async function look(context: Context, id: string, onNews: (rotation: RotationAnswer) => void): Promise<void> {
  try {
    await context.follow(rotationPath(id), STREAM_MS, (value) => onNews(value as RotationAnswer))
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.code !== 'TOO_MANY_STREAMS') throw thrown
    onNews(await getRotation(context.ask, id))
  }
}

/** Says each step once, in order, and each note that is new. */
function createTeller(context: Context): (rotation: RotationAnswer) => void {
  const told = new Set<string>()
  let note: string | null = null
  return (rotation) => {
    for (const { state } of rotation.steps) {
      if (told.has(state)) continue
      told.add(state)
      context.note(progressLine(rotation, state))
    }
    if (rotation.note !== null && rotation.note !== note && !hasEnded(rotation)) {
      context.note(`           ${printable(rotation.note)}`)
    }
    note = rotation.note
  }
}

/** The rotation as lines, with a table of its Secrets. */
export function describeRotation(rotation: RotationAnswer, paint: Paint): string {
  const { id, host, state, way, version, code, note, steps, mirror } = rotation
  const tone = state === 'ABORTED' || state === 'STUCK' ? 'red' : hasEnded(rotation) ? 'green' : 'yellow'
  const facts: Cell[][] = [
    ['registry', host],
    ['state', { text: code === null ? state : `${state} (${code})`, tone }],
    ['password', rotation.rollbackOf === null ? way : `${way} of ${rotation.rollbackOf}`],
    ['version', version],
    ...steps.map(({ state: step, at }): Cell[] => [step.toLowerCase(), at]),
    ...(rotation.endedAt === null ? [['deadline', rotation.deadline]] : []),
    ...(rotation.graceEndsAt === null || state === 'RETIRED' ? [] : [['PREVIOUS goes', rotation.graceEndsAt]]),
    ...(note === null ? [] : [['note', note]]),
  ]
  const secrets = mirror.length === 0 ? [] : ['', mirrorTable(mirror, paint)]
  return [table(['ROTATION', id], facts, paint), ...secrets].join('\n')
}

/** Rotations as a table, in the order given. */
export function listRotations(rotations: RotationAnswer[], paint: Paint): string {
  const rows = rotations.map(({ id, host, state, way, version, startedAt, code }) => [
    id,
    host,
    state,
    way,
    version,
    startedAt,
    code ?? '',
  ])
  return table(['ROTATION', 'REGISTRY', 'STATE', 'PASSWORD', 'VERSION', 'STARTED', 'CODE'], rows, paint)
}

export function hasEnded({ state }: Pick<RotationAnswer, 'state'>): boolean {
  return ['GRACE', 'RETIRED', 'ABORTED', 'STUCK'].includes(state)
}

/** What a command that has waited for a rotation ends with. Once it is committed the password is in force, whatever became of the Secrets. */
export function exitCodeOfRotation({ state }: Pick<RotationAnswer, 'state'>): number {
  if (state === 'ABORTED') return exitCodes.refused
  if (state === 'STUCK') return exitCodes.stuck
  return ['STAGED', 'APPLIED', 'VERIFIED'].includes(state) ? exitCodes.unfinished : exitCodes.ok
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

function progressLine(rotation: RotationAnswer, state: string): string {
  const { version, deadline, code, mirror, way, graceEndsAt } = rotation
  switch (state) {
    case 'STAGED':
      return way === 'generated'
        ? `STAGED     ${version} is stored; its hook sets it at the registry`
        : `STAGED     ${version} waits until the registry accepts it, at most until ${deadline}`
    case 'APPLIED':
      return `APPLIED    the registry has ${version}`
    case 'VERIFIED':
      return `VERIFIED   ${version} works there`
    case 'COMMITTED':
      return `COMMITTED  ${version} is in force`
    case 'MIRRORED':
      return `MIRRORED   ${mirror.length} Secret${mirror.length === 1 ? '' : 's'} seen to`
    case 'GRACE':
      return `GRACE      the password before it is kept until ${graceEndsAt}`
    case 'ABORTED':
      return `ABORTED    ${version} is dropped${code === null ? '' : ` (${code})`}; the password before it stays in force`
    case 'STUCK':
      return `STUCK      the registry accepts no version that is stored (${code}); all are kept: docs/rotation.md`
    default:
      return state
  }
}

function isUnreachable(thrown: unknown): boolean {
  return thrown instanceof RegcreddError && thrown.code === 'DAEMON_UNREACHABLE'
}
