import type { Express, Request, Response } from 'express'
import { type ErrorCode, RegcreddError, toRegcreddError } from '../errors.ts'
import { callerOf } from './access.ts'
import type { Door } from './door.ts'
import type { Endpoint } from './endpoint.ts'
import { demandRight } from './kubernetes-rights.ts'
import type { AdminParts } from './parts.ts'
import { demandScope } from './token-scope.ts'

export type Handler = (request: Request, response: Response) => Promise<void> | void

const FORBIDDEN: ErrorCode[] = ['TOKEN_SCOPE_MISSING', 'KUBERNETES_ACCESS_DENIED']

/** What the routes are added to. */
export type Api = { app: Express; parts: AdminParts; door: Door }

/**
 * Serves the endpoints of one path, each to whom its `openers` let in; any other method is answered METHOD_NOT_ALLOWED with `Allow`
 * (RFC 9110 § 15.5.6). HEAD comes with GET.
 */
export function addRoute(api: Api, ...served: [Endpoint, Handler][]): void {
  const path = served[0]?.[0].path ?? ''
  const route = api.app.route(path)
  const allowed: string[] = []
  for (const [endpoint, handler] of served) {
    if (endpoint.path !== path) throw new Error(`${endpoint.name} is not at ${path}`)
    route[endpoint.method](async (request, response) => {
      await authorize(api, endpoint, request)
      await handler(request, response)
    })
    allowed.push(...(endpoint.method === 'get' ? ['GET', 'HEAD'] : [endpoint.method.toUpperCase()]))
  }
  route.all((_request, response) => {
    response.set('Allow', allowed.join(', '))
    throw new RegcreddError('METHOD_NOT_ALLOWED')
  })
}

/** A decoded segment of the path. */
export function segment(request: Request, name: string): string {
  const value = request.params[name]
  if (typeof value !== 'string') throw new RegcreddError('NOT_FOUND')
  return value
}

async function authorize({ parts, door }: Api, endpoint: Endpoint, request: Request): Promise<void> {
  const caller = callerOf(request)
  if (caller?.via === 'socket') return
  if (caller === undefined) throw new RegcreddError('TOKEN_REFUSED')
  try {
    const registry = await registryOf(parts, endpoint, request)
    if (caller.via === 'token') demandScope(caller.holder.scopes, endpoint.openers, registry)
    else await demandRight(parts.kubernetesCallers, caller.user, endpoint.name, registry)
  } catch (thrown) {
    const error = toRegcreddError(thrown)
    if (FORBIDDEN.includes(error.code)) door.onForbidden(request, error, caller)
    throw thrown
  }
}

/** The registry that a request is about, where a scope depends on it. Throws ROTATION_NOT_FOUND and as `canonicalKey` does. */
async function registryOf(parts: AdminParts, endpoint: Endpoint, request: Request): Promise<string | undefined> {
  if (!endpoint.openers.includes('rotate')) return undefined
  if (endpoint.path.includes('/:host')) return parts.canonicalKey(segment(request, 'host'))
  return (await parts.rotations.get(segment(request, 'id'))).key
}
