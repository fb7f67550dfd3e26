import { readFile } from 'node:fs/promises'
import type { Measure } from './measure.ts'
import type { Rig, Target } from './rig.ts'
import { runWrk } from './wrk.ts'

/** Clock ticks in a second, as Linux has them for user space on every architecture. */
const TICKS = 100

/** A large blob of the real registry, over and over: MB/s, and the CPU seconds that whoever serves it spends on a GiB. */
export function blobMeasures({ real, blobPath, folder }: Rig, streams: number, seconds: number): Measure[] {
  const key = `blob, ${streams}`
  return Object.entries(real).flatMap(([name, target]) => {
    if (target === undefined) return []
    return { label: `${key} streams, ${name}`, sample: () => sampleOf(name, target) }
  })

  async function sampleOf(name: string, { origin, query, headers, pid }: Target): Promise<Record<string, number>> {
    const before = await cpuSeconds(pid)
    const load = { url: `${origin}${blobPath}${query}`, headers, connections: streams, seconds }
    const { megabytesPerSecond } = await runWrk(load, folder)
    const spent = (await cpuSeconds(pid)) - before
    const gibibytes = (megabytesPerSecond * seconds * 1e6) / 2 ** 30
    return { [`${key}, ${name}`]: megabytesPerSecond, [`${key} cpu, ${name}`]: spent / gibibytes }
  }
}

async function cpuSeconds(pid: number | undefined): Promise<number> {
  if (pid === undefined) return 0
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // proc(5): user and system time are the 14th and 15th field; the second may hold spaces and ends with the last `)`.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / TICKS
}
