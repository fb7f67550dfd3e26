import { Gauge, type Registry } from 'prom-client'

export type FleetMetrics = {
  /** Of each credential that this node shares: what it holds, what the fleet held when it was last seen, and whether the two are known to be the same. */
  fleet: (seen: {
    leads: boolean
    credentials: { registry: string; seq: number; fleetSeq: number | undefined; isInStep: boolean }[]
  }) => void
}

export function createFleetMetrics(register: Registry, registryLabel: (name: string) => string): FleetMetrics {
  const registers = [register]
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `regcredd_fleet_${name}`, help, labelNames: ['registry'], registers })
  const inStep = gauge('in_step', '1 while this node is known to hold the credential that the fleet holds.')
  const here = gauge('credential_seq', 'Of the credential that this node holds; grows with each change.')
  const there = gauge('credential_newest_seq', 'Of the credential that the fleet held when it was last seen.')
  let leads: Gauge | undefined
  return {
    fleet(seen) {
      // Not there at all on a node that is alone.
      leads ??= new Gauge({
        name: 'regcredd_fleet_leads',
        help: '1 on the node that writes the mirrored Secrets.',
        registers,
      })
      leads.set(seen.leads ? 1 : 0)
      for (const one of seen.credentials) {
        const labels = { registry: registryLabel(one.registry) }
        inStep.set(labels, one.isInStep ? 1 : 0)
        here.set(labels, one.seq)
        if (one.fleetSeq !== undefined) there.set(labels, one.fleetSeq)
      }
    },
  }
}
