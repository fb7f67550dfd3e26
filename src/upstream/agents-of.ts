import type { Registry } from '../config/config.ts'
import { type Agents, createAgents, type Surroundings } from './agents.ts'

/** The agents of all listed registries, as a look-up. */
export function createAgentsOf(
  registries: readonly Registry[],
  surroundings: Surroundings = {},
): {
  of: (registry: Registry) => Agents
  close: () => void
} {
  const agents = new Map(registries.map((registry) => [registry, createAgents(registry, surroundings)]))
  return {
    of: (registry) => {
      const found = agents.get(registry)
      if (found === undefined) throw new TypeError('only listed registries have agents')
      return found
    },
    close: () => {
      for (const one of agents.values()) one.close()
    },
  }
}
