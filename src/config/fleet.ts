import type { FleetSection } from './fleet-section.ts'
import { checkSelectorLabels, isLabel } from './label.ts'
import type { Report } from './problem.ts'
import { resolveName } from './registry-entry.ts'

/** Checks `kubernetes.fleet` and makes its registries canonical; `listed` are the names of the registries, `undefined` while some of them are bad. */
export function resolveFleet(
  fleet: FleetSection,
  at: string,
  listed: Set<string> | undefined,
  report: Report,
): FleetSection {
  for (const [key, value] of Object.entries(fleet.nodeLabels)) {
    if (!isLabel(key, value)) report(`${at}.nodeLabels`, 'holds what is no label')
  }
  if (fleet.registries === undefined) return fleet
  const names = new Set<string>()
  const registries = fleet.registries.flatMap((entry, index) => {
    const place = `${at}.registries[${index}]`
    const name = resolveName(entry.host, `${place}.host`, report)?.name
    if (entry.nodeSelector !== undefined) checkSelectorLabels(entry.nodeSelector, `${place}.nodeSelector`, report)
    if (name === undefined) return []
    if (names.has(name)) report(`${place}.host`, `names ${name} for the second time`)
    if (listed !== undefined && !listed.has(name)) report(`${place}.host`, `${name} is not listed in registries`)
    names.add(name)
    return [{ ...entry, host: name }]
  })
  return { ...fleet, registries }
}
