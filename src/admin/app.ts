import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import { RegcreddError } from '../errors.ts'
import { callerOf, enterBy, viaOf } from './access.ts'
import { addAudit } from './audit.ts'
import { addCredentials } from './credentials.ts'
import { type Door, LOGGED_PATH_CHARACTERS } from './door.ts'
import { addKubernetes } from './kubernetes.ts'
import { addMirror } from './mirror.ts'
import { addNodes } from './nodes.ts'
import { addOpenApi } from './openapi.ts'
import type { AdminParts } from './parts.ts'
import { answerProblem, faultOf } from './problem.ts'
import { addRegistries } from './registries.ts'
import { addRotations } from './rotations.ts'
import { addStatus } from './status.ts'
import { addTokens } from './tokens.ts'

/** The admin API behind one door: JSON in, JSON or RFC 9457 problems out, and no answer holds a secret. Listens nowhere by itself. */
export function createAdminApp(parts: AdminParts, door: Door): Express {
  const app = express()
  app.disable('x-powered-by')
  // Answers are not to be kept by anybody, so there is nothing to compare them by.
  app.disable('etag')
  app.set('query parser', 'simple')
  app.set('case sensitive routing', true)
  app.set('strict routing', true)

  app.use((request, response, next) => logAnswer(parts, request, response, next))
  app.use((_request, response, next) => {
    response.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
    next()
  })
  app.use(enterBy(door))

  const api = { app, parts, door }
  addOpenApi(api)
  addRegistries(api)
  addCredentials(api)
  addRotations(api)
  addStatus(api)
  addMirror(api)
  addNodes(api)
  addKubernetes(api)
  addAudit(api)
  addTokens(api)

  app.use(() => {
    throw new RegcreddError('NOT_FOUND')
  })
  app.use(answerProblem)
  return app
}

function logAnswer(parts: AdminParts, request: Request, response: Response, next: NextFunction): void {
  const id = randomUUID()
  const startedMs = performance.now()
  const { method } = request
  const path = request.path.slice(0, LOGGED_PATH_CHARACTERS)
  response.once('close', () => {
    const durationMs = performance.now() - startedMs
    const status = response.writableFinished ? response.statusCode : 0
    parts.onAnswer({ id, method, path, status, durationMs, actor: actorText(request), error: faultOf(response) })
  })
  next()
}

/** Who asked: the token or the user of the cluster that was let in, or on the socket his own word; nobody who was not let in. */
function actorText(request: Request): string | undefined {
  const caller = callerOf(request)
  if (caller === undefined) return undefined
  return caller.via === 'socket' ? request.get('Regcredd-Actor')?.slice(0, 64) : viaOf(caller)
}
