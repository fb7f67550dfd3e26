import type { EgressSetting } from '../config/config.ts'
import { type Egress, type EgressProxy, egressByEnvironment, egressBySetting } from '../upstream/egress.ts'
import { readEgressLogin } from '../upstream/egress-login.ts'
import type { Base } from './part.ts'

/** The way out, and what may be shown of it. */
export type WayOut = { egress: Egress; from: 'config' | 'environment'; proxies: EgressProxy[] }

/**
 * The way out: as the configuration says, and only where it says nothing as the environment does.
 * @throws CONFIG_INVALID
 */
export async function findEgress({ config, log }: Base): Promise<WayOut> {
  const way = config.egress === undefined ? byEnvironment() : await bySetting(config.egress)
  for (const { url, login } of way.proxies)
    log.info({ proxy: url.host, login: login !== undefined, from: way.from }, 'egress')
  if (way.unread > 0)
    log.warn(
      { unread: way.unread },
      'NO_PROXY has entries that mean nothing; hosts that they stand for go by the proxy',
    )
  return way
}

function byEnvironment(): WayOut & { unread: number } {
  return { ...egressByEnvironment(process.env), from: 'environment' }
}

async function bySetting(setting: EgressSetting): Promise<WayOut & { unread: number }> {
  const { proxy: url, credentialsFile, ca } = setting
  const login = url && (await readEgressLogin(credentialsFile, process.env))
  const proxies = url === undefined ? [] : [{ url, login, ca }]
  return { egress: egressBySetting(setting, login), from: 'config', proxies, unread: 0 }
}
