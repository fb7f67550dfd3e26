import { type Egress, egressByEnvironment, egressBySetting } from '../upstream/egress.ts'
import { readEgressLogin } from '../upstream/egress-login.ts'
import type { Base } from './part.ts'

/**
 * The way out: as the configuration says, and only where it says nothing as the environment does.
 * @throws CONFIG_INVALID
 */
export async function findEgress({ config, log }: Base): Promise<Egress> {
  const { egress: setting } = config
  if (setting !== undefined) {
    const { proxy, credentialsFile } = setting
    const login = proxy && (await readEgressLogin(credentialsFile, process.env))
    if (proxy !== undefined) log.info({ proxy: proxy.host, login: login !== undefined, from: 'config' }, 'egress')
    return egressBySetting(setting, login)
  }
  const { egress, proxies, unread } = egressByEnvironment(process.env)
  for (const proxy of proxies) log.info({ proxy, from: 'environment' }, 'egress')
  if (unread > 0)
    log.warn({ unread }, 'NO_PROXY has entries that mean nothing; hosts that they stand for go by the proxy')
  return egress
}
