import { NOTHING_READ, type Read } from './applying.ts'
import type { Cluster } from './cluster.ts'
import { type Answer, type Fault, isOfCluster } from './fault.ts'
import type { Found } from './plan.ts'
import type { FoundAccount } from './service-account.ts'
import type { Target } from './targets.ts'

/** Fewer are read one by one. */
const FEW = 8

export type BulkRead = { readFor: (target: Target) => Read; down: Fault | undefined }

/**
 * Reads the Secrets and ServiceAccounts of many namespaces by a list for each name, in place of a call for each of them. What could not be listed
 * is read one by one later; `down` where the API server is away altogether. An empty list is no danger: what it lacks is created, never overwritten.
 */
export async function bulkRead(cluster: Cluster, targets: Target[], signal: AbortSignal): Promise<BulkRead> {
  if (targets.length < FEW) return { readFor: () => NOTHING_READ, down: undefined }
  const secrets = new Map<string, Map<string, Found>>()
  const accounts = new Map<string, Map<string, FoundAccount>>()
  let down: Fault | undefined

  async function into<T>(kept: Map<string, Map<string, T>>, name: string, listing: Promise<Answer<Map<string, T>>>) {
    const listed = await listing
    if (listed.ok) kept.set(name, listed.value)
    else if (isOfCluster(listed.fault)) down = listed.fault
  }

  for (const name of new Set(targets.map(({ secretName }) => secretName))) {
    if (down === undefined) await into(secrets, name, cluster.lists.secrets(name, signal))
  }
  for (const name of new Set(targets.flatMap(({ serviceAccounts }) => serviceAccounts))) {
    if (down === undefined) await into(accounts, name, cluster.lists.accounts(name, signal))
  }

  const of = <T>(kept: Map<string, Map<string, T>>, name: string, namespace: string) => {
    const listed = kept.get(name)
    return listed === undefined ? undefined : { value: listed.get(namespace) }
  }
  return {
    down,
    readFor: ({ namespace, secretName }) => ({
      secret: of(secrets, secretName, namespace),
      account: (name) => of(accounts, name, namespace),
    }),
  }
}
