import type { Express } from 'express'
import type { AdminParts } from './parts.ts'
import { addRoute } from './route.ts'

export function addStatus(app: Express, parts: AdminParts): void {
  addRoute(app, '/v1/status', {
    async get(_request, response) {
      response.json(await parts.status())
    },
  })
}
