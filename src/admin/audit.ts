import type { Express } from 'express'
import { z } from 'zod'
import type { AdminParts } from './parts.ts'
import { readQuery } from './query.ts'
import { addRoute } from './route.ts'

const LIMIT = 'must be a whole number from 1 to 1000'
const AFTER = 'must be the number of a record'

const range = z.strictObject({
  limit: z
    .string(LIMIT)
    .regex(/^\d{1,4}$/, LIMIT)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 1_000, LIMIT)
    .default(100),
  after: z
    .string(AFTER)
    .regex(/^\d{1,15}$/, AFTER)
    .transform(Number)
    .optional(),
})

export function addAudit(app: Express, parts: AdminParts): void {
  addRoute(app, '/v1/audit', {
    async get(request, response) {
      const { limit, after } = readQuery(request, range)
      response.json({ records: await parts.audit({ limit, after }) })
    },
  })
}
