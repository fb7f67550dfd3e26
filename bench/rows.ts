import { fleetRow } from './fleet.ts'
import { idleRow } from './idle.ts'
import { keychainStartRow } from './keychain-start.ts'
import type { Values } from './measure.ts'
import { mirrorRows } from './mirror.ts'
import { type Result, type Row, resultsFrom } from './result.ts'
import { rotationRows } from './rotation.ts'
import { median } from './stats.ts'

const CLIENT = 'client of '

function pullRow(image: string, distance: string, what: string, aim: number): Row {
  const key = (name: string) => `pull ${image}, ${distance}, ${name}`
  const name = `pull-${image}-${distance}`
  return { name, what, unit: 's', aim, better: 'lower', ours: key('regcredd'), peer: [key('direct'), 'direct'] }
}

const rows: readonly Row[] = [
  {
    name: 'blob-direct',
    what: 'blob of 200 MB, 1 stream',
    unit: 'MB/s',
    aim: 0.95,
    better: 'higher',
    ours: 'blob, 1, regcredd',
    peer: ['blob, 1, direct', 'direct'],
  },
  {
    name: 'blob-nginx',
    what: 'blob of 200 MB, 1 stream',
    unit: 'MB/s',
    aim: 1.1,
    better: 'higher',
    ours: 'blob, 1, regcredd',
    peer: ['blob, 1, nginx', 'nginx'],
  },
  {
    name: 'blob8-direct',
    what: 'blob of 200 MB, 8 streams',
    unit: 'MB/s',
    aim: 0.7,
    better: 'higher',
    ours: 'blob, 8, regcredd',
    peer: ['blob, 8, direct', 'direct'],
  },
  {
    name: 'blob8-nginx',
    what: 'blob of 200 MB, 8 streams',
    unit: 'MB/s',
    aim: 1.1,
    better: 'higher',
    ours: 'blob, 8, regcredd',
    peer: ['blob, 8, nginx', 'nginx'],
  },
  {
    name: 'cpu-nginx',
    what: 'CPU for a GiB of blobs',
    unit: 's',
    aim: 1,
    better: 'lower',
    ours: 'blob, 1 cpu, regcredd',
    peer: ['blob, 1 cpu, nginx', 'nginx'],
  },
  {
    name: 'small-direct',
    what: 'manifests, docker-registry',
    unit: '/s',
    aim: 0.8,
    better: 'higher',
    ours: 'small real, regcredd',
    peer: ['small real, direct', 'direct'],
  },
  {
    name: 'small-nginx',
    what: 'manifests, light upstream',
    unit: '/s',
    aim: 0.6,
    better: 'higher',
    ours: 'small light, regcredd',
    peer: ['small light, nginx', 'nginx'],
  },
  {
    name: 'small-cache',
    what: 'manifests by digest',
    unit: '/s',
    aim: 2,
    better: 'higher',
    ours: 'small by digest, regcredd',
    peer: ['small by digest, cache', 'distribution 3, cached'],
  },
  pullRow('large', 'near', 'image of 200 MB', 1.05),
  pullRow('layers', 'near', 'image of 60 layers', 1.05),
  pullRow('large', 'far', 'image of 200 MB, 50 ms', 0.85),
  pullRow('layers', 'far', 'image of 60 layers, 50 ms', 0.85),
  {
    name: 'burst-tokens',
    what: 'token requests of 50 pulls at once',
    unit: '',
    aim: 1,
    better: 'exact',
    judged: 'value',
    ours: 'tokens, burst',
    peer: ['pulls, burst', 'direct'],
  },
  {
    name: 'slow-memory',
    what: '1,000 slow readers, memory',
    unit: 'MB',
    aim: 250,
    better: 'lower',
    judged: 'value',
    ours: 'slow memory, regcredd',
    peer: ['slow memory, nginx', 'nginx'],
  },
  {
    name: 'slow-first-byte',
    what: '1,000 slow readers, last first byte',
    unit: 'ms',
    aim: 1,
    better: 'lower',
    ours: 'slow first byte, regcredd',
    peer: ['slow first byte, nginx', 'nginx'],
  },
  {
    name: 'start-up',
    what: 'start-up to readyz',
    unit: 'ms',
    aim: 5,
    better: 'lower',
    ours: 'start, regcredd',
    peer: ['start, bare', 'bare Node'],
  },
  {
    name: 'idle-memory',
    what: 'idle memory (RSS)',
    unit: 'MB',
    aim: 2,
    better: 'lower',
    ours: 'idle, regcredd',
    peer: ['idle, bare', 'bare Node'],
  },
  keychainStartRow,
  idleRow,
  ...rotationRows,
  ...mirrorRows,
  fleetRow,
]

/** Of all the rows those that were measured. */
export function resultsOf(values: Values): Result[] {
  return resultsFrom(rows, values)
}

/** What running the sources instead of the bundle costs. */
export function sourcesNote(values: Values): string {
  const [start, idle] = [values.get('start, sources') ?? [], values.get('idle, sources') ?? []]
  return `from its sources instead of the bundle: ${median(start).toFixed(0)} ms to readyz, ${median(idle).toFixed(0)} MB idle`
}

/** Whether the client had room left, at the measure where it had least. */
export function clientNote(values: Values): string {
  const busy = [...values]
    .filter(([key]) => key.startsWith(CLIENT))
    .map(([key, shares]) => ({ key, share: median(shares) }))
  const [busiest] = busy.sort((a, b) => b.share - a.share)
  if (busiest === undefined) throw new RangeError('no client was measured')
  return `the client was never busier than ${Math.round(busiest.share * 100)} % of its one core (${busiest.key.slice(CLIENT.length)})`
}
