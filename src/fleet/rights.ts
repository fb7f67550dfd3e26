import type { Config } from '../config/config.ts'
import { type Needed, need } from '../mirror/rights.ts'
import { LEADER_LEASE, nodeLeaseNameOf, secretNameOf } from './names.ts'
import { shareOf } from './share.ts'

type Kubernetes = NonNullable<Config['kubernetes']>

/** Every right that a node needs to be in its fleet; kubernetes/fleet.yaml gives them. `registries` are canonical keys. */
export function fleetRights(
  { fleet, mirrors }: Pick<Kubernetes, 'fleet' | 'mirrors'>,
  node: string,
  registries: string[],
): Needed[] {
  if (fleet === undefined) return []
  const { namespace } = fleet
  const own = nodeLeaseNameOf(node)
  return [
    need(namespace, 'list', 'leases', undefined, 'to see the other nodes'),
    need(namespace, 'create', 'leases', undefined, 'to say that this node is there'),
    ...['get', 'update'].map((verb) => need(namespace, verb, 'leases', own, 'to say that this node is there')),
    need(namespace, 'get', 'leases', LEADER_LEASE, 'to know which node writes the Secrets of tenants'),
    ...(mirrors.length > 0
      ? [need(namespace, 'update', 'leases', LEADER_LEASE, 'to be the one that writes them')]
      : []),
    ...registries
      .filter((key) => shareOf(fleet, key) === 'shared')
      .flatMap((key) => [
        ...['get', 'list', 'watch'].map((verb) =>
          need(namespace, verb, 'secrets', secretNameOf(key), `to take over ${key}`),
        ),
        need(namespace, 'update', 'secrets', secretNameOf(key), `to log in and rotate here: ${key}`),
      ]),
  ]
}
