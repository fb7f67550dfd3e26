import type { z } from 'zod'
import { RegcreddError, toRegcreddError } from '../errors.ts'
import { type Credential, versionOf } from '../keychain/credential.ts'
import type { registry } from './answers.ts'
import { endpoints } from './endpoints.ts'
import type { AdminParts, ListedRegistry } from './parts.ts'
import { type Api, addRoute, segment } from './route.ts'

type RegistryAnswer = z.infer<typeof registry>

export function addRegistries(api: Api): void {
  const { parts } = api
  addRoute(api, [
    endpoints.registries,
    async (_request, response) => {
      const listed = parts.registries()
      const described = await Promise.all(listed.map((one) => describeListed(parts, one)))
      const unlisted = await describeOthers(parts, new Set(listed.map(({ host }) => host)))
      response.json({ registries: [...described, ...(unlisted ?? [])], complete: unlisted !== undefined })
    },
  ])
  addRoute(api, [
    endpoints.registry,
    async (request, response) => {
      const key = parts.canonicalKey(segment(request, 'host'))
      const answer = findListed(parts, key) === undefined ? await describeUnlisted(parts, key) : undefined
      response.json(answer ?? (await describeListed(parts, demandListed(parts, key))))
    },
  ])
}

/** Throws REGISTRY_UNLISTED. */
export function demandListed(parts: AdminParts, host: string): ListedRegistry {
  const listed = findListed(parts, parts.canonicalKey(host))
  if (listed !== undefined) return listed
  throw new RegcreddError('REGISTRY_UNLISTED', 'add it to "registries" in the configuration and restart the daemon')
}

function findListed(parts: AdminParts, key: string): ListedRegistry | undefined {
  return parts.registries().find((one) => one.host === key)
}

async function describeListed(parts: AdminParts, { host, upstream, mode }: ListedRegistry): Promise<RegistryAnswer> {
  return { host, upstream, credential: describeCredential(await parts.credential(host)), mode, listed: true }
}

/** What is stored beside `listed`; `undefined` where the store cannot be read, while those that are listed are known. */
async function describeOthers(parts: AdminParts, listed: ReadonlySet<string>): Promise<RegistryAnswer[] | undefined> {
  try {
    const keys = (await parts.credentialKeys()).filter((key) => !listed.has(key))
    return (await Promise.all(keys.map((key) => describeUnlisted(parts, key)))).flatMap((answer) => answer ?? [])
  } catch (thrown) {
    if (toRegcreddError(thrown).code.startsWith('KEYCHAIN_')) return undefined
    throw thrown
  }
}

/** `undefined` where nothing is stored. */
async function describeUnlisted(parts: AdminParts, key: string): Promise<RegistryAnswer | undefined> {
  const stored = await parts.credential(key)
  if (stored === undefined) return undefined
  return { host: key, upstream: null, credential: describeCredential(stored), mode: null, listed: false }
}

function describeCredential(stored: Credential | undefined): RegistryAnswer['credential'] {
  const current = stored && versionOf(stored, 'current')
  if (stored === undefined || current === undefined) return null
  return {
    username: current.username,
    version: current.id,
    seq: stored.seq,
    createdAt: current.createdAt,
    pending: stored.pending !== undefined,
  }
}
