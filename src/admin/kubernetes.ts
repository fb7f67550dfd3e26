import { endpoints } from './endpoints.ts'
import { type Api, addRoute } from './route.ts'

export function addKubernetes(api: Api): void {
  addRoute(api, [
    endpoints.kubernetesCheck,
    async (_request, response) => {
      const { rights, complete } = await api.parts.kubernetesCheck()
      response.json({
        complete,
        rights: rights.map(({ right: { namespace, verb, resource, name }, purpose, allowed }) => ({
          namespace: namespace ?? null,
          verb,
          resource,
          name: name ?? null,
          purpose,
          allowed,
        })),
      })
    },
  ])
}
