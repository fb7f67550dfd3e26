import { Secret } from '../secret.ts'
import { actorOf } from './access.ts'
import { readBody } from './body.ts'
import { endpoints } from './endpoints.ts'
import { demandListed } from './registries.ts'
import { login } from './requests.ts'
import { type Api, addRoute, segment } from './route.ts'

export function addCredentials(api: Api): void {
  const { parts } = api
  addRoute(
    api,
    [
      endpoints.putCredential,
      async (request, response) => {
        const { host } = demandListed(parts, segment(request, 'host'))
        const actor = actorOf(request)
        const body = await readBody(request, response, login)
        const stored = await parts.rotations.replaceCredential(
          host,
          { username: body.username, secret: new Secret(body.password), email: body.email, expiresAt: body.expiresAt },
          body.verify ? 'required' : 'skip',
          actor,
        )
        response.json({ host, username: stored.username, version: stored.version, seq: stored.seq })
      },
    ],
    [
      endpoints.deleteCredential,
      async (request, response) => {
        // What is no longer listed can still be forgotten.
        await parts.rotations.removeCredential(parts.canonicalKey(segment(request, 'host')), actorOf(request))
        response.status(204).end()
      },
    ],
  )
}
