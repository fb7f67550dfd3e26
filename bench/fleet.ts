// Measures when the nodes of a fleet have taken a rotation over: node bench/fleet.ts [--quick]
import { parseArgs } from 'node:util'
import { createFleet, type Fleet } from '../src/fleet/fleet.ts'
import { createSteadyMs } from '../src/fleet/steady.ts'
import { createMemoryKeychain } from '../src/keychain/memory.ts'
import { actsBy } from '../test/fleet/acts.ts'
import { eventually } from '../test/helpers/eventually.ts'
import { startKubeApiserver } from '../test/helpers/kube-apiserver.ts'
import { realTime } from '../test/mirror/rig.ts'
import type { Measure } from './measure.ts'
import { percentile } from './stats.ts'

const REGISTRY = 'registry.bench.example'
const NAMESPACE = 'regcredd-system'
const AIM_SECONDS = 1
const LIMIT_MS = 30_000

/** Seconds from the moment at which a rotation is asked to commit until each other node has CURRENT in its keychain. */
async function measureFleet({ nodes: count, rotations }: { nodes: number; rotations: number }): Promise<number[]> {
  await using stack = new AsyncDisposableStack()
  const api = await startKubeApiserver()
  stack.defer(() => api.close())
  await api.kubectl(['create', 'namespace', NAMESPACE])
  const kubeconfig = await api.kubeconfig('admin')
  const current = new Map<number, { id: string; atMs: number }>()
  const nodes: Fleet[] = []
  for (let index = 0; index < count; index += 1) {
    const node = `node-${index}`
    const fleet = createFleet({
      config: {
        ...{ kubeconfig, mirrors: [], resyncIntervalMs: 300_000 },
        fleet: { namespace: NAMESPACE, nodeLabels: {}, leaseSeconds: 15, heartbeatSeconds: 60 },
      },
      ...{ node, registries: [REGISTRY], keychain: createMemoryKeychain() },
      time: { ...realTime, steadyMs: createSteadyMs() },
      onAdopted: (_key, entry) => {
        const id = 'credential' in entry ? entry.credential.current : undefined
        if (id !== undefined && current.get(index)?.id !== id) current.set(index, { id, atMs: performance.now() })
      },
      onStanding: () => undefined,
      onFault: (_key, thrown) => {
        throw thrown
      },
      onLead: () => undefined,
    })
    stack.defer(() => fleet.close())
    nodes.push(fleet)
    fleet.start()
  }
  const [first] = nodes
  if (first === undefined) return []
  const all = (id: string) =>
    eventually(
      'every node has taken it over',
      () => [...Array(count - 1).keys()].every((index) => current.get(index + 1)?.id === id),
      LIMIT_MS,
    )
  const versionId = (version: number) => `v${version}`
  const acts = actsBy(first.update, REGISTRY)
  await acts.login('first')
  await all(versionId(1))

  const seconds: number[] = []
  for (let rotation = 1; rotation <= rotations; rotation += 1) {
    const id = `r${rotation}`
    await acts.stage(`p${rotation}`, id)
    const beganAtMs = performance.now()
    await acts.commit(id)
    await all(versionId(rotation + 1))
    for (const [index, { atMs }] of current) if (index !== 0) seconds.push((atMs - beganAtMs) / 1_000)
  }
  return seconds
}

/** The row of the table. */
export const fleetRow = {
  name: 'fleet-adopted',
  what: 'rotation seen by 50 nodes, p99',
  unit: 's',
  aim: AIM_SECONDS,
  better: 'lower',
  judged: 'value',
  ours: 'fleet p99, regcredd',
  peer: ['fleet p50, regcredd', 'p50'],
} as const

/** One rotation after another, each seen by all the nodes. */
export function fleetMeasure(nodes: number, rotations: number): Measure {
  return {
    label: `a rotation seen by ${nodes} nodes`,
    sample: async () => {
      const seconds = await measureFleet({ nodes, rotations })
      return { 'fleet p99, regcredd': percentile(seconds, 0.99), 'fleet p50, regcredd': percentile(seconds, 0.5) }
    },
  }
}

if (import.meta.main) {
  const { quick } = parseArgs({ options: { quick: { type: 'boolean' } } }).values
  const plan = quick ? { nodes: 10, rotations: 3 } : { nodes: 50, rotations: 20 }
  const seconds = await measureFleet(plan)
  const [half, most] = [percentile(seconds, 0.5), percentile(seconds, 0.99)]
  const isMet = most < AIM_SECONDS
  const told = `p50 ${half.toFixed(3)} s, p99 ${most.toFixed(3)} s, aim < ${AIM_SECONDS} s: ${isMet ? 'met' : 'missed'}`
  process.stdout.write(`a rotation seen by ${plan.nodes} nodes, ${seconds.length} times: ${told}\n`)
  process.exitCode = isMet ? 0 : 1
}
