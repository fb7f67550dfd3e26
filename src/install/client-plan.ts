import type { Config, ListedRegistry } from '../config/config.ts'

export const clients = ['containerd', 'podman', 'cri-o', 'skopeo', 'dockerd'] as const
export type Client = (typeof clients)[number]

/** What the files of every client depend on. */
export type Setting = {
  registries: readonly ListedRegistry[]
  proxy: Pick<Config['proxy'], 'listen' | 'callers' | 'callerTokenFile' | 'defaultRegistry' | 'tls'>
}

/** A file of a client. Where it needs the caller token it holds a placeholder, so a plan may be shown to anybody (caller-token.ts). */
export type ClientFile = { path: string; mode: '0600' | '0644'; text: string }

/** A file that the operator must put there: we know its place and what it must hold, not its content. */
export type OwnFile = { path: string; mode: '0600' | '0644'; holds: string }

/** Who is asked next when the daemon is down, refuses, or cannot get the image; `next` is undefined where nobody is. */
export type FailOver = { registry: string; next: string | undefined; says: string }

export type ClientPlan = {
  client: Client
  files: ClientFile[]
  /** Certificates and keys, where the daemon speaks TLS. */
  ownFiles: OwnFile[]
  failOver: FailOver[]
  /** What else the operator must do or know. */
  notes: string[]
}

/** `127.0.0.1:5050` or `[::1]:5050`, as clients write it. */
export function proxyHost({ proxy }: Setting): string {
  const { host, port } = proxy.listen
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What clients ask, as a URL without path. */
export function proxyUrl(setting: Setting): string {
  return `${setting.proxy.tls === undefined ? 'http' : 'https'}://${proxyHost(setting)}`
}

/** Those of these registries that ask this of who pulls; of `pull-secret`, to show the very credential that is lent. */
export function pulledBy(
  mode: Config['proxy']['callers'],
  { proxy }: Setting,
  registries: readonly ListedRegistry[],
): ListedRegistry[] {
  return registries.filter(({ callers }) => (callers ?? proxy.callers) === mode)
}

/** Whether a pull of any of these registries must show the caller token. */
export function needsToken(setting: Setting, registries: readonly ListedRegistry[]): boolean {
  return pulledBy('token', setting, registries).length > 0
}

export function failOver(registry: string, next: string | undefined): FailOver {
  const asked =
    next === undefined
      ? 'only the daemon is asked: when it is down, refuses or fails, the pull fails'
      : `when the daemon is down, refuses or fails, ${next} is asked, without the credential of the keychain`
  return { registry, next, says: asked }
}
