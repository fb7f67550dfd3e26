import http from 'node:http'
import https from 'node:https'
import type { DockerRegistry, Login } from './docker-registry.ts'

/** The status of `GET /v2/` as `login`, with the TLS name `servername` where one is given; rejects when nobody answers. */
export function getStatus(
  registry: Pick<DockerRegistry, 'origin' | 'ca'>,
  login?: Login,
  servername?: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const client = registry.origin.startsWith('https:') ? https : http
    const options = {
      ...(registry.ca && { ca: registry.ca.cert }),
      ...(servername && { servername }),
      ...(login && { auth: `${login.username}:${login.password}` }),
      agent: false as const,
    }
    const request = client.get(`${registry.origin}/v2/`, options, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.on('error', reject)
  })
}
