import type { ListedRegistry } from '../config/config.ts'
import { CALLER_TOKEN_BASIC } from './caller-token.ts'
import { certificatePaths, ownFiles } from './certificates.ts'
import {
  type Client,
  type ClientFile,
  type ClientPlan,
  failOver,
  needsToken,
  proxyHost,
  pulledBy,
  type Setting,
} from './client-plan.ts'
import { quote } from './hosts-toml.ts'

const REGISTRIES_CONF = '/etc/containers/registries.conf.d/regcredd.conf'
/** Root's own: unlike the one below /run that `podman login` writes, it outlives a reboot. */
const AUTH_FILE = '/root/.config/containers/auth.json'
const CRIO_AUTH_FILE = '/etc/crio/regcredd-auth.json'
const CRIO_CONF = '/etc/crio/crio.conf.d/10-regcredd.conf'

/** `registries.conf` for podman, buildah, skopeo and CRI-O: they send no `ns`, so the registry's name is a path of ours. */
export function planContainersTools(client: Client, setting: Setting): ClientPlan {
  const text = setting.registries.map((registry) => entryOf(registry, setting)).join('\n')
  return {
    client,
    files: [{ path: REGISTRIES_CONF, mode: '0644', text }, ...authFiles(client, setting)],
    ownFiles: ownFiles(setting, certificatePaths(`/etc/containers/certs.d/${proxyHost(setting)}`)),
    failOver: setting.registries.map(({ name, host, fallback }) =>
      failOver(name, fallback === 'origin' ? `https://${host}` : undefined),
    ),
    notes: [
      ...(client === 'cri-o' ? ['CRI-O reads them anew after SIGHUP (systemctl reload crio).'] : []),
      ...pulledBy('pull-secret', setting, setting.registries).map(
        ({ name }) => `${name} wants its own credential shown: log in at ${proxyHost(setting)}/${name} with it.`,
      ),
      ...setting.registries.flatMap(caNote),
    ],
  }
}

/** The path that stands for a registry in our URLs: registries.conf takes no colon there, so a port is written `_5000`. */
export function locationOf(name: string, proxy: string): string {
  return `${proxy}/${name.replace(/^([^/]*):(\d+)/, '$1_$2')}`
}

function entryOf({ name, host, upstream, fallback }: ListedRegistry, setting: Setting): string {
  const location = `location = ${quote(locationOf(name, proxyHost(setting)))}`
  // With TLS it would mean that any certificate will do.
  const ours = setting.proxy.tls === undefined ? [location, 'insecure = true'] : [location]
  const head = ['[[registry]]', `prefix = ${quote(name)}`]
  if (fallback === 'never') return `${[...head, ...ours].join('\n')}\n`
  const isPlain = upstream.protocol === 'http:' && upstream.host === host
  const registry = [`location = ${quote(name)}`, ...(isPlain ? ['insecure = true'] : [])]
  return `${[...head, ...registry, '', '[[registry.mirror]]', ...ours].join('\n')}\n`
}

function authFiles(client: Client, setting: Setting): ClientFile[] {
  if (!needsToken(setting, setting.registries)) return []
  const path = client === 'cri-o' ? CRIO_AUTH_FILE : AUTH_FILE
  const auths = { [proxyHost(setting)]: { auth: CALLER_TOKEN_BASIC } }
  const file: ClientFile = { path, mode: '0600', text: `${JSON.stringify({ auths }, null, 2)}\n` }
  if (client !== 'cri-o') return [file]
  return [file, { path: CRIO_CONF, mode: '0644', text: `[crio.image]\nglobal_auth_file = ${quote(CRIO_AUTH_FILE)}\n` }]
}

function caNote({ host, fallback, caFile }: ListedRegistry): string[] {
  if (fallback === 'never' || caFile === undefined) return []
  return [
    `To ask ${host} themselves they must trust its authority: copy ${caFile} to /etc/containers/certs.d/${host}/ca.crt.`,
  ]
}
