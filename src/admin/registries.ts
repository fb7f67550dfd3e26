import type { Express } from 'express'
import { RegcreddError } from '../errors.ts'
import { versionOf } from '../keychain/credential.ts'
import type { AdminParts, ListedRegistry } from './parts.ts'
import { addRoute, segment } from './route.ts'

export function addRegistries(app: Express, parts: AdminParts): void {
  addRoute(app, '/v1/registries', {
    async get(_request, response) {
      response.json({ registries: await Promise.all(parts.registries().map((listed) => describe(parts, listed))) })
    },
  })
  addRoute(app, '/v1/registries/:host', {
    async get(request, response) {
      response.json(await describe(parts, demandListed(parts, segment(request, 'host'))))
    },
  })
}

/** Throws REGISTRY_UNLISTED. */
export function demandListed(parts: AdminParts, host: string): ListedRegistry {
  const key = parts.canonicalKey(host)
  const listed = parts.registries().find((one) => one.host === key)
  if (listed !== undefined) return listed
  throw new RegcreddError('REGISTRY_UNLISTED', 'add it to "registries" in the configuration and restart the daemon')
}

async function describe(parts: AdminParts, listed: ListedRegistry) {
  const stored = await parts.credential(listed.host)
  const current = stored && versionOf(stored, 'current')
  const credential =
    stored === undefined || current === undefined
      ? null
      : {
          username: current.username,
          version: current.id,
          seq: stored.seq,
          createdAt: current.createdAt,
          pending: stored.pending !== undefined,
        }
  return { host: listed.host, upstream: listed.upstream, credential, mode: listed.mode }
}
