import { RegcreddError } from '../errors.ts'

/** RFC 6454's origin as text: `scheme://host`, with the port unless it is the scheme's own. */
export function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`
}

/** Whether two URLs agree in scheme, host and port. A port counts: GHSA-vh4v-2xq2-g5cg. */
export function sameOrigin(a: URL, b: URL): boolean {
  return originOf(a) === originOf(b)
}

/** The port that a URL leads to, also where it is the scheme's own and is not spelt out. */
export function portOf({ protocol, port }: URL): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80)
}

/** A host as node:net and the DNS take it: `URL.hostname` has IPv6 in brackets. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}

/** Reads `http(s)://host[:port]` and nothing more: no user, path, query or fragment. Throws CONFIG_INVALID. */
export function parseOrigin(text: string): URL {
  const isPlain = /^https?:\/\/[^\s/?#@\\%]+\/?$/i.test(text)
  const url = isPlain ? URL.parse(text) : null
  if (url === null || url.port === '0') {
    throw new RegcreddError('CONFIG_INVALID', 'an origin is https://host[:port] or http://host[:port] and nothing more')
  }
  return url
}
