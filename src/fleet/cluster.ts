import { createCall } from '../mirror/call.ts'
import { openKubeconfig } from '../mirror/kubeconfig.ts'
import { type Lists, listsOf } from '../mirror/lists.ts'
import { type CanonicalStore, canonicalStoreOf } from './canonical-store.ts'
import { type Leases, leasesOf } from './leases.ts'

/** The calls that a fleet makes, all within its own namespace. None of them throws; every answer is safe to show. */
export type FleetCluster = {
  store: CanonicalStore
  leases: Leases
  lists: Lists
  /** For connections that may be dead without a word. */
  renew(): void
  close(): Promise<void>
}

/** The client library is loaded with the first call. */
export function openFleetCluster(options: { kubeconfig: string; namespace: string; timeoutMs: number }): FleetCluster {
  const kubeconfig = openKubeconfig(options.kubeconfig)
  const call = createCall(kubeconfig, options.timeoutMs)
  return {
    store: canonicalStoreOf(call, options.namespace),
    leases: leasesOf(call, options.namespace),
    lists: listsOf(call, kubeconfig),
    renew: () => kubeconfig.renew(),
    close: () => kubeconfig.close(),
  }
}
