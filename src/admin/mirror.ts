import { endpoints } from './endpoints.ts'
import { type Api, addRoute } from './route.ts'

export function addMirror(api: Api): void {
  addRoute(api, [
    endpoints.mirror,
    (_request, response) => {
      const { configured, results, stale, fault, fleet } = api.parts.mirror()
      response.json({
        configured,
        results: results.map((result) => ({ ...result, detail: result.detail ?? null })),
        stale,
        fault: fault ?? null,
        fleet: fleet === undefined ? null : { ...fleet, leader: fleet.leader ?? null },
      })
    },
  ])
}
