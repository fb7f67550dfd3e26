import type { Config } from '../config/config.ts'
import type { Needed } from '../mirror/rights.ts'
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
  const one = (
    verb: string,
    resource: Needed['right']['resource'],
    name: string | undefined,
    purpose: string,
  ): Needed => ({
    right: { namespace, verb, resource, name },
    purpose,
    isPerNamespace: false,
  })
  const own = nodeLeaseNameOf(node)
  return [
    one('list', 'leases', undefined, 'to see the other nodes'),
    one('create', 'leases', undefined, 'to say that this node is there'),
    ...['get', 'update'].map((verb) => one(verb, 'leases', own, 'to say that this node is there')),
    one('get', 'leases', LEADER_LEASE, 'to know which node writes the Secrets of tenants'),
    ...(mirrors.length > 0 ? [one('update', 'leases', LEADER_LEASE, 'to be the one that writes them')] : []),
    ...registries
      .filter((key) => shareOf(fleet, key) === 'shared')
      .flatMap((key) => [
        ...['get', 'list', 'watch'].map((verb) => one(verb, 'secrets', secretNameOf(key), `to take over ${key}`)),
        one('update', 'secrets', secretNameOf(key), `to log in and rotate here: ${key}`),
      ]),
  ]
}
