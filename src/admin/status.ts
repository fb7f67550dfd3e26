import { endpoints } from './endpoints.ts'
import { type Api, addRoute } from './route.ts'

export function addStatus(api: Api): void {
  addRoute(api, [
    endpoints.status,
    async (_request, response) => {
      response.json(await api.parts.status())
    },
  ])
}
