import type { SeenNode } from './presence.ts'
import type { ReplicaState, Standing } from './replica.ts'

/** How the fleet is, as seen from one node. */
export type FleetReport = {
  node: string
  /** The node that writes the mirrored Secrets; undefined while nobody is known to. */
  leader: string | undefined
  credentials: (ReplicaState & { key: string; secretName: string })[]
  /** Undefined where the API server did not tell; `fault` says why. */
  nodes: SeenNode[] | undefined
  fault: string | undefined
}

/** Whether this node holds of a credential what the fleet holds; where that is nothing, too. */
export function isInStep(standing: Standing): standing is 'synced' | 'absent' {
  return standing === 'synced' || standing === 'absent'
}

/** What is to be said of the fleet on /readyz and in the status: none of it stops pulls. */
export function fleetWarnings(
  credentials: { key: string; standing: Standing; detail: string | undefined }[],
  /** The name of this node, where another daemon has it, too. */
  twin?: string,
): string[] {
  const ofTwin = twin === undefined ? [] : [`warning: ${twinDetail(twin)}`]
  const ofCredentials = credentials.flatMap(({ key, standing, detail }) => {
    if (isInStep(standing)) return []
    const why = detail === undefined ? '' : `: ${detail}`
    return [`warning: ${SAID[standing].replace('%', key)}${why}`]
  })
  return [...ofTwin, ...ofCredentials]
}

export function twinDetail(node: string): string {
  return `another daemon is ${node} in this fleet, too; give each node a fleet.node of its own`
}

const SAID = {
  behind: 'the newest credential of % could not be stored here',
  ahead: 'the fleet has not been told of the newest credential of %',
  forked: 'the fleet holds another credential of % than this node; log in anew on one node',
  garbled: 'the canonical Secret of % is refused',
  unknown: 'it is not known what the fleet holds of %',
} as const
