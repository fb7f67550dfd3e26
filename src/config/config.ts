import type { NoProxyRule } from './no-proxy.ts'
import type { RegistryRotation } from './rotation-section.ts'
import type { ConfigFile } from './schema.ts'

export type { ProxyTls } from './proxy-tls.ts'

/** An address to listen on; `host` is an IP literal. */
export type ListenAddress = { host: string; port: number }

/** One listed registry, checked and canonical. */
export type Registry = {
  /** `host` or `host/path` in canonical form (registry/host.ts); also the key of its credential. */
  name: string
  /** The host part of `name`, with its port unless that is the default. */
  host: string
  /** The path part of `name`, or `''`. */
  path: string
  /** Origin that requests go to: scheme, host and port, no path. */
  upstream: URL
  serverName: string | undefined
  /** PEM text of `caFile`. */
  ca: string | undefined
  /** Files of the certificate that is shown to the registry itself; read where it is used, since they are renewed. */
  clientCertificate: { certFile: string; keyFile: string } | undefined
  repositories: string[] | undefined
  /** Canonical origins, `https://host[:port]`. */
  realms: string[]
  allowAddresses: string[]
  credential: 'optional' | 'required'
  /** Absent: as `proxy.callers` says. */
  callers: 'token' | 'pull-secret' | 'mtls' | 'open' | undefined
  /** Whether the daemon fetches what a registry redirects to, or sends the client there. */
  redirects: 'follow' | 'relay'
  canary: string | undefined
  limits: { connectTimeoutMs: number; answerTimeoutMs: number; idleTimeoutMs: number; maxConnections: number }
}

/** A registry with what only the set-up of clients needs to know of it. */
export type ListedRegistry = Registry & {
  fallback: 'never' | 'origin'
  rotation: RegistryRotation
  /** The file that `ca` was read from. */
  caFile: string | undefined
}

/** The admin API's listener for callers from elsewhere; `hosts` are lower case, IPv6 without brackets. */
export type AdminTls = { listen: ListenAddress; certFile: string; keyFile: string; hosts: string[] }

/** Callers of the admin API by tokens of the cluster. */
export type KubernetesAuth = NonNullable<ConfigFile['admin']['kubernetesAuth']>

/** How the outside is reached. `proxy` is an origin; `ca` is PEM text. */
export type EgressSetting = {
  proxy: URL | undefined
  noProxy: NoProxyRule[]
  credentialsFile: string | undefined
  ca: string | undefined
}

/** The configuration that the daemon runs on: every default filled in, every host canonical, every file read. */
export type Config = {
  registries: ListedRegistry[]
  keychain: ConfigFile['keychain']
  proxy: Omit<ConfigFile['proxy'], 'listen'> & { listen: ListenAddress }
  health: { listen: ListenAddress }
  admin: {
    socket: string
    mode: number
    group: string | undefined
    tokensFile: string
    tls: AdminTls | undefined
    kubernetesAuth: KubernetesAuth | undefined
  }
  audit: ConfigFile['audit']
  rotation: ConfigFile['rotation']
  kubernetes: ConfigFile['kubernetes']
  egress: EgressSetting | undefined
  log: ConfigFile['log']
}
