import type { Measure } from './measure.ts'
import type { Rig } from './rig.ts'
import { runWrk } from './wrk.ts'

const CONNECTIONS = 16

/** One manifest over and over, 16 connections kept alive: requests a second, of the real registry and of the light one. */
export function smallMeasures(rig: Rig, seconds: number): Measure[] {
  const targets = {
    'real, direct': rig.real.direct,
    'real, regcredd': rig.real.regcredd,
    'light, nginx': rig.light?.nginx,
    'light, regcredd': rig.light?.regcredd,
  }
  return Object.entries(targets).flatMap(([name, target]) => {
    if (target === undefined) return []
    const key = `small ${name}`
    return {
      label: key,
      sample: async () => {
        const url = `${target.origin}${rig.manifestPath}${target.query}`
        const load = { url, headers: target.headers, connections: CONNECTIONS, seconds }
        const { requestsPerSecond, clientBusy } = await runWrk(load, rig.folder)
        return { [key]: requestsPerSecond, [`client of ${key}`]: clientBusy }
      },
    }
  })
}
