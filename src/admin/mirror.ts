import { endpoints } from './endpoints.ts'
import { type Api, addRoute } from './route.ts'

export function addMirror(api: Api): void {
  addRoute(api, [
    endpoints.mirror,
    (_request, response) => {
      const { configured, results, stale, fleet } = api.parts.mirror()
      response.json({
        configured,
        results: results.map((result) => ({ ...result, detail: result.detail ?? null })),
        stale,
        fleet: fleet === undefined ? null : { ...fleet, leader: fleet.leader ?? null },
      })
    },
  ])
}
