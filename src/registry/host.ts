import { isIPv4, isIPv6 } from 'node:net'
import { RegcreddError } from '../errors.ts'
import { isRepository } from './reference.ts'

const HUB = 'docker.io'
const HUB_API_HOST = 'registry-1.docker.io'
const HUB_ALIASES = new Set(['index.docker.io', HUB_API_HOST, 'registry.hub.docker.com'])

/** RFC 1035 § 2.3.4. */
const MAX_NAME_LENGTH = 253
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** What the WHATWG URL parser takes for an IPv4 address (`127.1`, `0x7f000001`, `2130706433`). */
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/
const HOST_AND_PORT = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]{1,5}))?$/

/**
 * The one spelling of a registry's host that keys and look-ups use: lower case, without trailing dot and default port, the
 * Hub's other names folded into `docker.io`. Takes `host` or `host:port`, IPv6 in brackets; throws NAMESPACE_INVALID.
 */
export function canonicalHost(text: string): string {
  const [, rawName, rawPort] = HOST_AND_PORT.exec(text) ?? []
  if (rawName === undefined) throw new RegcreddError('NAMESPACE_INVALID')
  const name = rawName.startsWith('[') ? canonicalIpv6(rawName.slice(1, -1)) : canonicalDnsName(rawName)
  if (rawPort === undefined) return HUB_ALIASES.has(name) ? HUB : name
  const port = Number(rawPort)
  if (port < 1 || port > 65_535) throw new RegcreddError('NAMESPACE_INVALID', 'the port must lie between 1 and 65535')
  if (port !== 443) return `${name}:${port}`
  return HUB_ALIASES.has(name) ? HUB : name
}

/**
 * The canonical form of `host` or `host/path`, by which registries are listed and credentials stored.
 * Throws NAMESPACE_INVALID for the host, NAME_INVALID for the path.
 */
export function canonicalName(text: string): { name: string; host: string; path: string } {
  const slash = text.indexOf('/')
  const host = canonicalHost(slash === -1 ? text : text.slice(0, slash))
  if (slash === -1) return { name: host, host, path: '' }
  const path = text.slice(slash + 1)
  if (!isRepository(path)) {
    throw new RegcreddError('NAME_INVALID', 'the path after the host must be a repository name or the beginning of one')
  }
  return { name: `${host}/${path}`, host, path }
}

/** Where the registry API of a canonical host is served: an https origin. */
export function apiOrigin(host: string): string {
  return `https://${host === HUB ? HUB_API_HOST : host}`
}

/** Whether the first segment of a path or reference names a host: a dot, a colon, or `localhost`. */
export function looksLikeHost(segment: string): boolean {
  return segment.includes('.') || segment.includes(':') || segment === 'localhost'
}

function canonicalIpv6(address: string): string {
  // A zone (`%eth0`) would name an interface of this node, and isIPv6 lets it pass; the grammar knows no dotted tail.
  if (!/^[0-9a-f:]{2,39}$/i.test(address) || !isIPv6(address)) {
    throw new RegcreddError('NAMESPACE_INVALID', 'the address in brackets is not IPv6')
  }
  return new URL(`http://[${address}]`).hostname
}

function canonicalDnsName(text: string): string {
  const name = text.toLowerCase().replace(/\.$/, '')
  const labels = name.split('.')
  if (name.length > MAX_NAME_LENGTH || !labels.every((label) => LABEL.test(label))) {
    throw new RegcreddError('NAMESPACE_INVALID', 'a host is letters, digits and hyphens between dots')
  }
  if (NUMERIC_LABEL.test(labels.at(-1) ?? '') && !isIPv4(name)) {
    throw new RegcreddError('NAMESPACE_INVALID', 'a host that ends in a number must be a dotted IPv4 address')
  }
  return name
}
