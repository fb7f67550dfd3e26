import { hostname } from 'node:os'
import { createFleet, type Fleet } from '../fleet/fleet.ts'
import { isInStep } from '../fleet/report.ts'
import { createSteadyMs } from '../fleet/steady.ts'
import type { KnownKeychain } from '../keychain/known.ts'
import type { Entry } from '../keychain/tombstone.ts'
import { realTime } from '../rotation/real-time.ts'
import type { Base } from './part.ts'

export type FleetPart = Fleet & {
  node: string
  /** Tells of each credential that another node has changed, once it is in the keychain. */
  onAdopted(listener: (key: string, entry: Entry) => void): void
  onLead(listener: (leads: boolean) => void): void
}

/** Builds what keeps the credentials in step with other nodes; undefined for a node that is alone. Touches no cluster before `start`. */
export function buildFleet({ config, log, stack }: Base, keychain: KnownKeychain): FleetPart | undefined {
  const { kubernetes } = config
  if (kubernetes?.fleet === undefined) return undefined
  const node = kubernetes.fleet.node ?? hostname()
  const adopted: ((key: string, entry: Entry) => void)[] = []
  const led: ((leads: boolean) => void)[] = []
  const fleet = createFleet({
    config: { ...kubernetes, fleet: kubernetes.fleet },
    node,
    registries: config.registries.map(({ name }) => name),
    keychain,
    time: { ...realTime, steadyMs: createSteadyMs() },
    onAdopted: (key, entry) => {
      log.info({ key, deleted: 'tombstone' in entry }, 'another node of the fleet has changed a credential')
      for (const listener of adopted) listener(key, entry)
    },
    onStanding: (key, state) => {
      log[isInStep(state.standing) ? 'info' : 'warn']({ key, ...state }, 'fleet')
    },
    onFault: (key, thrown) =>
      log.error({ key, err: thrown }, 'a credential could not be brought in step with the fleet'),
    onLead: (leads) => {
      log.info({ node, leads }, leads ? 'this node writes the mirrored Secrets now' : 'another node may write them')
      for (const listener of led) listener(leads)
    },
  })
  stack.defer(() => fleet.close())
  return {
    ...fleet,
    node,
    onAdopted: (listener) => void adopted.push(listener),
    onLead: (listener) => void led.push(listener),
  }
}
