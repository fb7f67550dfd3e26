import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Pull } from './pull.ts'

/** Request headers that go upstream. An allow-list: a caller cannot smuggle Authorization, Cookie, Forwarded or Connection's victims (CVE-2021-33197). */
const REQUEST_HEADERS = [
  'accept',
  'accept-encoding',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'user-agent',
] as const

/** Answer headers that go back: no challenge, cookie, Alt-Svc, HSTS, Location or hop-by-hop header is among them. */
const ANSWER_HEADERS = [
  'accept-ranges',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'docker-content-digest',
  'docker-distribution-api-version',
  'docker-ratelimit-source',
  'etag',
  'last-modified',
  'oci-filters-applied',
  'oci-subject',
  'ratelimit-limit',
  'ratelimit-remaining',
  'retry-after',
  'warning',
] as const

/** Headers of the request to the registry, but for Authorization, which is added last by who sends it. */
export function upstreamHeaders(caller: IncomingHttpHeaders, to: URL): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {}
  for (const name of REQUEST_HEADERS) {
    const value = caller[name]
    if (value !== undefined) headers[name] = String(value)
  }
  headers['host'] = to.host
  return headers
}

/**
 * Headers of the answer to the caller. `digest` is the registry's own Docker-Content-Digest, kept from before a redirect
 * for stores that do not know it.
 */
export function callerHeaders(
  answer: Record<string, string | string[] | undefined>,
  pull: Pull,
  digest: string | undefined,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {}
  for (const name of ANSWER_HEADERS) {
    const value = answer[name]
    if (value !== undefined) headers[name] = String(value)
  }
  if (digest !== undefined) headers['docker-content-digest'] ??= digest
  headers['docker-distribution-api-version'] ??= 'registry/2.0'
  if (pull.host !== '') headers['oci-namespace'] = pull.host
  return headers
}
