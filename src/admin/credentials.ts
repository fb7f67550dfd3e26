import type { Express } from 'express'
import { z } from 'zod'
import { Secret } from '../secret.ts'
import { actorOf } from './access.ts'
import { readBody } from './body.ts'
import { email, password, username } from './fields.ts'
import type { AdminParts } from './parts.ts'
import { demandListed } from './registries.ts'
import { addRoute, segment } from './route.ts'

const login = z.strictObject({
  username,
  password,
  email: email.optional(),
  verify: z.boolean('must be true or false').default(true).describe('Whether the registry is asked first.'),
})

export function addCredentials(app: Express, parts: AdminParts): void {
  addRoute(app, '/v1/registries/:host/credential', {
    async put(request, response) {
      const { host } = demandListed(parts, segment(request, 'host'))
      const actor = actorOf(request)
      const body = await readBody(request, response, login)
      const stored = await parts.rotations.replaceCredential(
        host,
        { username: body.username, secret: new Secret(body.password), email: body.email },
        body.verify ? 'required' : 'skip',
        actor,
      )
      response.json({ host, username: stored.username, version: stored.version, seq: stored.seq })
    },

    async delete(request, response) {
      // What is no longer listed can still be forgotten.
      await parts.rotations.removeCredential(parts.canonicalKey(segment(request, 'host')), actorOf(request))
      response.status(204).end()
    },
  })
}
