import { cpuSeconds } from './cpu.ts'
import type { Measure } from './measure.ts'
import type { Rig, Target } from './rig.ts'
import { runWrk } from './wrk.ts'

/** A large blob of the real registry, over and over: MB/s, and the CPU seconds that a proxy spends on a GiB. */
export function blobMeasures({ real, blobPath, folder }: Rig, streams: number, seconds: number): Measure[] {
  const key = `blob, ${streams}`
  return Object.entries(real).flatMap(([name, target]) => {
    if (target === undefined) return []
    return { label: `${key} streams, ${name}`, sample: () => sampleOf(name, target) }
  })

  async function sampleOf(name: string, { origin, query, headers, pid }: Target): Promise<Record<string, number>> {
    const before = pid && (await cpuSeconds(pid))
    const load = { url: `${origin}${blobPath}${query}`, headers, connections: streams, seconds }
    const { megabytesPerSecond, clientBusy } = await runWrk(load, folder)
    const after = pid && (await cpuSeconds(pid))
    const sample = { [`${key}, ${name}`]: megabytesPerSecond, [`client of ${key}, ${name}`]: clientBusy }
    if (before === undefined || after === undefined) return sample
    const gibibytes = (megabytesPerSecond * seconds * 1e6) / 2 ** 30
    return { ...sample, [`${key} cpu, ${name}`]: (after - before) / gibibytes }
  }
}
