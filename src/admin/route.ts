import type { Express, Request, Response } from 'express'
import { RegcreddError } from '../errors.ts'

export type Handler = (request: Request, response: Response) => Promise<void> | void
type Method = 'get' | 'put' | 'post' | 'delete'

/** Serves one path; any other method is answered METHOD_NOT_ALLOWED with `Allow` (RFC 9110 § 15.5.6). HEAD comes with GET. */
export function addRoute(app: Express, path: string, handlers: Partial<Record<Method, Handler>>): void {
  const route = app.route(path)
  const allowed: string[] = []
  for (const [method, handler] of Object.entries(handlers) as [Method, Handler][]) {
    route[method](handler)
    allowed.push(...(method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
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
