import type { ListedRegistry } from '../config/config.ts'
import { CALLER_TOKEN, CALLER_TOKEN_BASIC } from './caller-token.ts'
import { certificatePaths, needsCertificate, ownFiles } from './certificates.ts'
import { type ClientPlan, failOver, needsToken, proxyUrl, pulledBy, type Setting } from './client-plan.ts'

const CERTS_DIR = '/etc/containerd/certs.d'
const CERTIFICATES = certificatePaths('/etc/regcredd/client')
/** The header that proxy/caller.ts reads. */
const TOKEN_HEADER = 'regcredd-token'

/** One `hosts.toml` for each host, since containerd knows no finer grain: entries of one host share it, and one `never` among them wins. */
export function planContainerd(setting: Setting): ClientPlan {
  const ofHosts = Map.groupBy(setting.registries, ({ host }) => host)
  const planned = [...ofHosts].map(([host, entries]) => {
    const origin = originOf(entries)
    const isTokenShown = needsToken(setting, entries)
    const ours = hostTable(setting, entries, isTokenShown ? tokenHeader(setting, entries) : undefined)
    const text = origin === undefined ? asksOnlyUs(setting, ours) : fallsTo(origin, ours)
    const mode: '0600' | '0644' = isTokenShown ? '0600' : '0644'
    return {
      file: { path: `${CERTS_DIR}/${hostFolder(host)}/hosts.toml`, mode, text },
      next: failOver(host, origin?.server),
    }
  })
  return {
    client: 'containerd',
    files: planned.map(({ file }) => file),
    ownFiles: ownFiles(setting, CERTIFICATES),
    failOver: planned.map(({ next }) => next),
    notes: [
      `config_path must be this one folder: ${CERTS_DIR}. Of two ("a:b") containerd 2.4 reads none, and asks the registry itself.`,
      'No restart: the files are read anew at each pull. One that cannot be parsed is logged and ignored.',
    ],
  }
}

/** The folder that containerd looks up first for a host: a colon cannot stand in a name on every system. */
export function hostFolder(host: string): string {
  return host.replace(/:(\d+)$/, '_$1_')
}

/** The form that never asks the registry and asks us once, on 1.6, 1.7 and 2.x: `server` alone is ignored by 1.6, `[host]` alone falls to the registry. */
function asksOnlyUs(setting: Setting, ours: string[]): string {
  return lines([
    '# Only the daemon is asked, never the registry. server with "push" alone keeps containerd from asking a second time.',
    `server = ${quote(proxyUrl(setting))}`,
    'capabilities = ["push"]',
    ...ours,
  ])
}

function fallsTo({ server, caFile }: Origin, ours: string[]): string {
  return lines([
    '# First the daemon; after any failure of it, also a refusal, the registry.',
    `server = ${quote(server)}`,
    ...(caFile === undefined ? [] : [`ca = ${quote(caFile)}`]),
    ...ours,
  ])
}

function hostTable(setting: Setting, entries: ListedRegistry[], header: string | undefined): string[] {
  const table = `host.${quote(proxyUrl(setting))}`
  const { ca, cert, key } = CERTIFICATES
  const tls = [
    ...(setting.proxy.tls === undefined ? [] : [`ca = ${quote(ca)}`]),
    ...(needsCertificate(setting, entries) ? [`client = [[${quote(cert)}, ${quote(key)}]]`] : []),
  ]
  const shown = header === undefined ? [] : ['', `[${table}.header]`, header]
  return ['', `[${table}]`, 'capabilities = ["pull", "resolve"]', ...tls, ...shown]
}

/**
 * Sent on to a store, containerd takes every header of this file along but Authorization. The daemon relays no redirect to who shows our own
 * header, so where redirects are to be relayed the token stands in the other; there it would be taken for a pull secret where one is asked for.
 */
function tokenHeader(setting: Setting, entries: ListedRegistry[]): string {
  const isAuthorizationFree = pulledBy('pull-secret', setting, entries).length === 0
  return isAuthorizationFree && entries.some(({ redirects }) => redirects === 'relay')
    ? `Authorization = [${quote(`Basic ${CALLER_TOKEN_BASIC}`)}]`
    : `${TOKEN_HEADER} = [${quote(CALLER_TOKEN)}]`
}

type Origin = { server: string; caFile: string | undefined }

/** Where containerd goes without us; undefined where it shall not. It cannot check another name than the address it asks (`serverName`): then the image's own host. */
function originOf(entries: ListedRegistry[]): Origin | undefined {
  const first = entries.toSorted((a, b) => a.path.length - b.path.length)[0]
  if (first === undefined || entries.some(({ fallback }) => fallback === 'never')) return undefined
  const { host, upstream, serverName, caFile } = first
  return { server: serverName === undefined ? upstream.origin : `https://${host}`, caFile }
}

function lines(all: string[]): string {
  return `${all.join('\n')}\n`
}

/** A basic string of TOML, which takes JSON's escapes and, unlike JSON, no bare DEL. */
export function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f')
}
