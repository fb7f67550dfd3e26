import type { Measure } from './measure.ts'
import type { Rig, Target } from './rig.ts'
import { runWrk } from './wrk.ts'

const CONNECTIONS = 16

/** One manifest over and over, 16 connections kept alive: requests a second, of the real registry and of the light one. */
export function smallMeasures(rig: Rig, seconds: number): Measure[] {
  const { real, light, manifestPath, digestPath } = rig
  const targets: Record<string, [Target | undefined, path: string]> = {
    'real, direct': [real.direct, manifestPath],
    'real, regcredd': [real.regcredd, manifestPath],
    'light, nginx': [light?.nginx, manifestPath],
    'light, regcredd': [light?.regcredd, manifestPath],
    'by digest, cache': [light?.cache, digestPath],
    'by digest, regcredd': [light?.cache && light.regcredd, digestPath],
  }
  return Object.entries(targets).flatMap(([name, [target, path]]) => {
    if (target === undefined) return []
    const key = `small ${name}`
    return {
      label: key,
      sample: async () => {
        const url = `${target.origin}${path}${target.query}`
        const load = { url, headers: target.headers, connections: CONNECTIONS, seconds }
        const { requestsPerSecond, clientBusy } = await runWrk(load, rig.folder)
        return { [key]: requestsPerSecond, [`client of ${key}`]: clientBusy }
      },
    }
  })
}
