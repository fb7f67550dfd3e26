import { certificatePaths, ownFiles } from './certificates.ts'
import { type ClientPlan, failOver, needsToken, proxyHost, proxyUrl, type Setting } from './client-plan.ts'

const DAEMON_JSON = '/etc/docker/daemon.json'

/** dockerd knows mirrors for Docker Hub alone, shows them no token, and asks the Hub itself whenever a mirror fails. */
export function planDockerd(setting: Setting): ClientPlan {
  const hub = setting.registries.filter(({ host }) => host === 'docker.io')
  const others = setting.registries.filter(({ host }) => host !== 'docker.io')
  const text = `${JSON.stringify({ 'registry-mirrors': [proxyUrl(setting)] }, null, 2)}\n`
  const isDefault = setting.proxy.defaultRegistry === 'docker.io'
  const refusals = [
    ...(needsToken(setting, hub)
      ? ['dockerd shows a mirror no token: it is refused unless "callers" is "mtls" or "open" for docker.io.']
      : []),
    ...(isDefault ? [] : ['proxy.defaultRegistry must be docker.io: dockerd does not say which registry it means.']),
    ...hub.flatMap(({ name, fallback }) =>
      fallback === 'never'
        ? [`${name}: fallback "never" cannot be had; dockerd asks the Hub when a mirror fails.`]
        : [],
    ),
  ]
  return {
    client: 'dockerd',
    files: hub.length === 0 ? [] : [{ path: DAEMON_JSON, mode: '0644', text }],
    ownFiles:
      hub.length === 0
        ? []
        : ownFiles({ ...setting, registries: hub }, certificatePaths(`/etc/docker/certs.d/${proxyHost(setting)}`)),
    failOver: [
      ...hub.map(({ name }) => failOver(name, 'https://registry-1.docker.io')),
      ...others.map(({ name, host }) => ({
        registry: name,
        next: `https://${host}`,
        says: 'never comes to the daemon: dockerd has mirrors for docker.io alone',
      })),
    ],
    notes: [
      ...(hub.length === 0
        ? ['docker.io is not listed, and dockerd has mirrors for nothing else: there is nothing to write.']
        : refusals),
      ...(hub.length === 0 ? [] : ['Merge it into the file that is there, and restart dockerd.']),
    ],
  }
}
