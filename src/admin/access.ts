import type { NextFunction, Request, Response } from 'express'
import { RegcreddError } from '../errors.ts'
import type { Actor } from '../rotation/acts.ts'
import type { Caller, Door } from './door.ts'

const PRINTABLE = /^[\x20-\x7e]{1,64}$/

const callers = new WeakMap<Request, Caller>()

/**
 * Keeps web pages out, also where somebody forwards the socket to a port: no Origin, no Sec-Fetch-Site but `none`, and a Host
 * that no DNS rebinding can produce. Throws ORIGIN_REFUSED, HOST_REFUSED.
 */
export function refuseBrowsers(door: Door, request: Request): void {
  const { origin, host, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined || (site !== undefined && site !== 'none')) throw new RegcreddError('ORIGIN_REFUSED')
  // Node takes a second Host and keeps the first (RFC 9112 § 3.2 wants a 400).
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (hosts.length !== 1 || host === undefined || !door.isHost(host)) {
    throw new RegcreddError('HOST_REFUSED', `the admin API wants exactly one Host, ${door.hosts}`)
  }
  if (!request.url.startsWith('/')) throw new RegcreddError('HOST_REFUSED', 'the request target must be a path')
}

/** Lets nobody by who is no caller of this door. Throws as `Door.admit` and `refuseBrowsers` do. */
export function enterBy(door: Door) {
  return async (request: Request, _response: Response, next: NextFunction): Promise<void> => {
    // First, so that what strangers send is held back and recorded as that, whatever else is wrong with it.
    callers.set(request, await door.admit(request))
    refuseBrowsers(door, request)
    next()
  }
}

/** Who was let in; `undefined` before that. */
export function callerOf(request: Request): Caller | undefined {
  return callers.get(request)
}

/** The way in, with who came by it, as it is recorded. */
export function viaOf(caller: Caller): Actor['via'] {
  if (caller.via === 'token') return `token:${caller.holder.id}`
  return caller.via === 'kubernetes' ? `kubernetes:${caller.user.name}` : 'admin-socket'
}

/** Who acts. On the socket the header `Regcredd-Actor` says so, and nothing proves it; the name of a token or of a user of the cluster is not the caller's to choose. Throws PARAMETER_INVALID. */
export function actorOf(request: Request): Actor {
  const caller = callers.get(request)
  if (caller?.via === 'token') return { via: viaOf(caller), name: caller.holder.name ?? undefined }
  if (caller?.via === 'kubernetes') return { via: viaOf(caller), name: undefined }
  const name = request.get('Regcredd-Actor')
  if (name !== undefined && !PRINTABLE.test(name)) {
    throw new RegcreddError('PARAMETER_INVALID', 'Regcredd-Actor must be 1 to 64 printable ASCII characters')
  }
  return { via: 'admin-socket', name }
}
