import { once } from 'node:events'
import type { TestContext } from 'node:test'
import type { Time } from '../../src/mirror/time.ts'
import { startFakeCluster } from './fake-cluster.ts'
import type { Call } from './fake-kube-api.ts'
import { createRig, type Mirrors, type Rig, realTime } from './rig.ts'

export const REGISTRY = 'registry.corp.example'
export const TEAMS: Mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'], exceptNamespaces: ['team-x'] }]

const LOOK_MS = 20
/** Longer than all pauses that are no retry after a failure. */
const MOMENT_MS = 500

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

/** Real time that a test may set ahead: whoever sleeps looks at the clock again soon. */
export function createMovableTime(): { time: Time; passMs: (durationMs: number) => void } {
  let aheadMs = 0
  const time: Time = {
    ...realTime,
    now: () => new Date(Date.now() + aheadMs),
    sleep: (durationMs, signal) => realTime.sleep(Math.min(durationMs, LOOK_MS), signal),
  }
  const passMs = (durationMs: number) => {
    aheadMs += durationMs
  }
  return { time, passMs }
}

/**
 * Real time that counts from `begin` on how long was slept, and in which then nobody wakes who goes to sleep for longer than a moment. So
 * a test sees whether something is waited for, on however slow a machine.
 */
export function createCountedTime(): { time: Time; begin: () => void; sleptMs: () => number } {
  let isCounted = false
  let sleptMs = 0
  const time: Time = {
    ...realTime,
    async sleep(durationMs, signal) {
      const isCountedOne = isCounted
      if (isCountedOne && durationMs > MOMENT_MS) {
        if (!signal.aborted) await once(signal, 'abort')
        throw signal.reason
      }
      await realTime.sleep(durationMs, signal)
      if (isCountedOne) sleptMs += durationMs
    },
  }
  const begin = () => {
    isCounted = true
  }
  return { time, begin, sleptMs: () => sleptMs }
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
