import type { NextFunction, Request, Response } from 'express'
import { RegcreddError } from '../errors.ts'
import type { Actor } from '../rotation/acts.ts'

// The name of a client that came by the socket, or by a port that somebody forwards to it on his own machine.
const LOCAL_HOST = /^(?:localhost|regcredd|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i
const PRINTABLE = /^[\x20-\x7e]{1,64}$/

/**
 * Keeps web pages out, should the socket ever be forwarded to a port: no Origin, no Sec-Fetch-Site but `none`, and a Host
 * that no DNS rebinding can produce. Throws ORIGIN_REFUSED, HOST_REFUSED.
 */
export function refuseBrowsers(request: Request, _response: Response, next: NextFunction): void {
  const { origin, host, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined || (site !== undefined && site !== 'none')) throw new RegcreddError('ORIGIN_REFUSED')
  // Node takes a second Host and keeps the first (RFC 9112 § 3.2 wants a 400).
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (hosts.length !== 1 || host === undefined || !LOCAL_HOST.test(host)) {
    throw new RegcreddError('HOST_REFUSED', 'the admin API wants exactly one Host, "localhost"')
  }
  if (!request.url.startsWith('/')) throw new RegcreddError('HOST_REFUSED', 'the request target must be a path')
  next()
}

/** Who calls, by his own word: the header `Regcredd-Actor`. Throws PARAMETER_INVALID. */
export function actorOf(request: Request): Actor {
  const name = request.get('Regcredd-Actor')
  if (name !== undefined && !PRINTABLE.test(name)) {
    throw new RegcreddError('PARAMETER_INVALID', 'Regcredd-Actor must be 1 to 64 printable ASCII characters')
  }
  return { via: 'admin-socket', name }
}
