import { endpoints } from './endpoints.ts'
import { readQuery } from './query.ts'
import { auditRange } from './requests.ts'
import { type Api, addRoute } from './route.ts'

export function addAudit(api: Api): void {
  addRoute(api, [
    endpoints.audit,
    async (request, response) => {
      const { limit, after } = readQuery(request, auditRange)
      response.json({ records: await api.parts.audit({ limit, after }) })
    },
  ])
}
