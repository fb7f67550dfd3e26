import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import { RegcreddError } from '../errors.ts'
import { refuseBrowsers } from './access.ts'
import { addAudit } from './audit.ts'
import { addCredentials } from './credentials.ts'
import { addMirror } from './mirror.ts'
import type { AdminParts } from './parts.ts'
import { answerProblem, faultOf } from './problem.ts'
import { addRegistries } from './registries.ts'
import { addRotations } from './rotations.ts'
import { addStatus } from './status.ts'

const LOGGED_PATH_CHARACTERS = 256

/** The admin API: JSON in, JSON or RFC 9457 problems out, and no answer holds a secret. Listens nowhere by itself. */
export function createAdminApp(parts: AdminParts): Express {
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
  app.use(refuseBrowsers)

  addRegistries(app, parts)
  addCredentials(app, parts)
  addRotations(app, parts)
  addStatus(app, parts)
  addMirror(app, parts)
  addAudit(app, parts)

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
  const actor = request.get('Regcredd-Actor')?.slice(0, 64)
  response.once('close', () => {
    const durationMs = performance.now() - startedMs
    const status = response.writableFinished ? response.statusCode : 0
    parts.onAnswer({ id, method, path, status, durationMs, actor, error: faultOf(response) })
  })
  next()
}
