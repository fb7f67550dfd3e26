import type { TestContext } from 'node:test'
import { createFleet, type FleetParts } from '../../src/fleet/fleet.ts'
import type { ReplicaState } from '../../src/fleet/replica.ts'
import { createSteadyMs } from '../../src/fleet/steady.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { createMemoryKeychain } from '../../src/keychain/memory.ts'
import type { Time as MirrorTime } from '../../src/mirror/time.ts'
import { entryOf, realTime } from '../mirror/rig.ts'
import { actsBy, passwordsIn } from './acts.ts'

export const KEY = 'registry.corp.example'
export const SYSTEM = 'regcredd-system'

/** Nobody writes it here: what has one stands for election. */
const MIRROR = entryOf({ registries: [KEY], namespaces: ['team-a'] })

type FleetSection = FleetParts['config']['fleet']

export type RigOptions = {
  kubeconfig: string
  node: string
  keychain?: Keychain
  mirrors?: FleetParts['config']['mirrors']
  registries?: string[]
  fleet?: Partial<FleetSection>
  skewMs?: number
  resyncIntervalMs?: number
  callTimeoutMs?: number
  time?: MirrorTime
}

/** One node in this process, on a keychain in memory. */
export function createNode(t: TestContext, options: RigOptions) {
  const keychain = options.keychain ?? createMemoryKeychain()
  const adopted: string[] = []
  const standings: ReplicaState[] = []
  const leads: boolean[] = []
  const fleet = createFleet({
    config: {
      kubeconfig: options.kubeconfig,
      mirrors: options.mirrors ?? [MIRROR],
      resyncIntervalMs: options.resyncIntervalMs ?? 300_000,
      fleet: {
        namespace: SYSTEM,
        node: options.node,
        nodeLabels: {},
        registries: undefined,
        leaseSeconds: 3,
        heartbeatSeconds: 1,
        ...options.fleet,
      },
    },
    node: options.node,
    registries: options.registries ?? [KEY],
    keychain,
    time: {
      ...(options.time ?? realTime),
      now: () => new Date(Date.now() + (options.skewMs ?? 0)),
      steadyMs: createSteadyMs(),
    },
    onAdopted: (key) => adopted.push(key),
    onStanding: (_key, state) => standings.push(state),
    onFault: (_key, thrown) => {
      throw thrown
    },
    onLead: (is) => leads.push(is),
    callTimeoutMs: options.callTimeoutMs ?? 10_000,
  })
  let isClosed = false
  const close = async () => {
    if (!isClosed) await fleet.close()
    isClosed = true
  }
  t.after(close)
  return {
    ...fleet,
    close,
    keychain,
    adopted,
    standings,
    leads,
    ...actsBy(fleet.update, KEY),
    password: passwordsIn(keychain, KEY),
    state: async () => (await fleet.report(AbortSignal.timeout(10_000))).credentials[0],
    nodes: async () => (await fleet.report(AbortSignal.timeout(10_000))).nodes,
  }
}
