import type { Config } from '../config/config.ts'
import type { LabelSelector } from '../config/label.ts'

type Fleet = NonNullable<NonNullable<Config['kubernetes']>['fleet']>

/** `shared`: held here and on others. `elsewhere`: the fleet's, and not for nodes with these labels. `own`: no matter of the fleet. */
export type Share = 'shared' | 'elsewhere' | 'own'

/** Whose a registry's credential is, as seen from a node with these labels. `key` is canonical. */
export function shareOf(fleet: Pick<Fleet, 'registries' | 'nodeLabels'>, key: string): Share {
  if (fleet.registries === undefined) return 'shared'
  const entry = fleet.registries.find(({ host }) => host === key)
  if (entry === undefined) return 'own'
  return entry.nodeSelector === undefined || selectsNode(entry.nodeSelector, fleet.nodeLabels) ? 'shared' : 'elsewhere'
}

function selectsNode({ matchLabels, matchExpressions }: LabelSelector, labels: Record<string, string>): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labelOf(labels, key) === value) &&
    matchExpressions.every((expression) => meets(labels, expression))
  )
}

function meets(
  labels: Record<string, string>,
  { key, operator, values }: LabelSelector['matchExpressions'][number],
): boolean {
  const value = labelOf(labels, key)
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

function labelOf(labels: Record<string, string>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined
}
