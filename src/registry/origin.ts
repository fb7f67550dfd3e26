import { RegcreddError } from '../errors.ts'

/** RFC 6454's origin as text: `scheme://host`, with the port unless it is the scheme's own. */
export function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`
}

/** Whether two URLs agree in scheme, host and port. A port counts: GHSA-vh4v-2xq2-g5cg. */
export function sameOrigin(a: URL, b: URL): boolean {
  return originOf(a) === originOf(b)
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
