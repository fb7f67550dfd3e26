import type { Express } from 'express'
import type { AdminParts } from './parts.ts'
import { addRoute } from './route.ts'

export function addMirror(app: Express, parts: AdminParts): void {
  addRoute(app, '/v1/mirror', {
    get(_request, response) {
      const { configured, results, stale } = parts.mirror()
      response.json({
        configured,
        results: results.map((result) => ({ ...result, detail: result.detail ?? null })),
        stale,
      })
    },
  })
}
