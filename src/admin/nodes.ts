import { endpoints } from './endpoints.ts'
import { type Api, addRoute } from './route.ts'

const WITHOUT_FLEET = { configured: false, node: null, leader: null, fault: null, credentials: [], nodes: null }

export function addNodes(api: Api): void {
  addRoute(api, [
    endpoints.nodes,
    async (_request, response) => {
      const report = await api.parts.nodes()
      if (report === undefined) {
        response.json(WITHOUT_FLEET)
        return
      }
      const { node, leader, fault, credentials, nodes } = report
      response.json({
        configured: true,
        node,
        leader: leader ?? null,
        fault: fault ?? null,
        credentials: credentials.map(({ key, secretName, standing, seq, fleetSeq, detail }) => ({
          host: key,
          secretName,
          standing,
          seq: seq ?? null,
          fleetSeq: fleetSeq ?? null,
          detail: detail ?? null,
        })),
        nodes:
          nodes?.map((one) => ({
            node: one.node,
            live: one.isLive,
            silentSeconds: one.silentSeconds,
            leads: one.node === leader,
            adopted: Object.fromEntries(one.adopted),
          })) ?? null,
      })
    },
  ])
}
