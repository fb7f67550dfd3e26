import type { Client, ClientPlan, Setting } from './client-plan.ts'
import { planDockerd } from './docker-daemon.ts'
import { planContainerd } from './hosts-toml.ts'
import { planContainersTools } from './registries-conf.ts'

/**
 * The files that send a client's pulls to the daemon, with their paths on the node, and what fails over to what; pure.
 * `setting.registries` are those to be shown, `setting.proxy.listen` the address that clients reach. Holds no secret.
 */
export function planClient(client: Client, setting: Setting): ClientPlan {
  if (client === 'containerd') return planContainerd(setting)
  if (client === 'dockerd') return planDockerd(setting)
  return planContainersTools(client, setting)
}
