import type { TestContext } from 'node:test'
import { startFakeCluster } from './fake-cluster.ts'
import type { Call } from './fake-kube-api.ts'
import { createRig, type Mirrors, type Rig } from './rig.ts'

export const REGISTRY = 'registry.corp.example'
export const TEAMS: Mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'], exceptNamespaces: ['team-x'] }]

export type Cluster = Awaited<ReturnType<typeof startFakeCluster>>

/** A scripted cluster with these namespaces, and a mirror of the one registry that is not started yet; TEAMS unless `mirrors` says otherwise. */
export async function rigOn(
  t: TestContext,
  { namespaces = [], ...options }: Partial<Parameters<typeof createRig>[0]> & { namespaces?: readonly string[] } = {},
): Promise<{ cluster: Cluster; rig: Rig }> {
  const cluster = await startFakeCluster()
  for (const name of namespaces) cluster.setNamespace(name)
  const rig = createRig({ kubeconfig: cluster.kubeconfig, mirrors: TEAMS, ...options })
  rig.store(REGISTRY, 'one')
  t.after(async () => {
    await rig.close()
    await cluster.close()
  })
  return { cluster, rig }
}

/** Counts how many of these calls are at work at one time; gives the most that there were so far. */
export function countBusiest(cluster: Cluster, isCounted: (call: Call) => boolean): () => number {
  let busy = 0
  let busiest = 0
  cluster.setFault((call, answer) => {
    if (!isCounted(call)) return false
    busy += 1
    busiest = Math.max(busiest, busy)
    answer.on('close', () => {
      busy -= 1
    })
    return false
  })
  return () => busiest
}
