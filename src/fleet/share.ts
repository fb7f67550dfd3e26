import type { Config } from '../config/config.ts'
import { meetsSelector } from '../mirror/labels.ts'

type Fleet = NonNullable<NonNullable<Config['kubernetes']>['fleet']>

/** `shared`: held here and on others. `elsewhere`: the fleet's, and not for nodes with these labels. `own`: no matter of the fleet. */
export type Share = 'shared' | 'elsewhere' | 'own'

/** Whose a registry's credential is, as seen from a node with these labels. `key` is canonical. */
export function shareOf(fleet: Pick<Fleet, 'registries' | 'nodeLabels'>, key: string): Share {
  if (fleet.registries === undefined) return 'shared'
  const entry = fleet.registries.find(({ host }) => host === key)
  if (entry === undefined) return 'own'
  return entry.nodeSelector === undefined || meetsSelector(entry.nodeSelector, fleet.nodeLabels)
    ? 'shared'
    : 'elsewhere'
}
