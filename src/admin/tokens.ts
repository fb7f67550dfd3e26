import type { z } from 'zod'
import { RegcreddError } from '../errors.ts'
import { audited } from '../rotation/acts.ts'
import { actorOf } from './access.ts'
import { readBody } from './body.ts'
import { endpoints } from './endpoints.ts'
import type { AdminParts } from './parts.ts'
import { InvalidRequest } from './problem.ts'
import { demandListed } from './registries.ts'
import { newToken } from './requests.ts'
import { type Api, addRoute, segment } from './route.ts'
import { parseScope, scopeText } from './token-scope.ts'

/** The tokens are made and revoked over the socket alone: none makes another. */
export function addTokens(api: Api): void {
  const { parts } = api
  addRoute(
    api,
    [endpoints.tokens, (_request, response) => void response.json({ tokens: parts.tokens.list() })],
    [
      endpoints.createToken,
      async (request, response) => {
        const actor = actorOf(request)
        const { id, sha256, name, scopes, ttlSeconds } = await readBody(request, response, newToken)
        const token = { id, sha256, name: name ?? null, scopes: canonicalScopes(parts, scopes), ttlSeconds }
        const detail = { name: name ?? '', scopes: token.scopes.join(' '), ttlSeconds }
        const act = { actor, action: 'token.create' as const, target: id, detail }
        response.status(201).json(await audited(parts.onAct, act, () => parts.tokens.add(token)))
      },
    ],
  )
  addRoute(api, [
    endpoints.revokeToken,
    async (request, response) => {
      const id = segment(request, 'id')
      const found = parts.tokens.list().find((token) => token.id === id)
      // Before the audit is asked: what a path may hold has no place in it.
      if (found === undefined) throw new RegcreddError('TOKEN_NOT_FOUND')
      const act = { actor: actorOf(request), action: 'token.revoke' as const, target: id, detail: {} }
      await audited(parts.onAct, act, () => parts.tokens.revoke(id))
      response.status(204).end()
    },
  ])
}

/** Throws BODY_INVALID for what is no scope, REGISTRY_UNLISTED for a registry that nobody could rotate. */
function canonicalScopes(parts: AdminParts, scopes: z.infer<typeof newToken>['scopes']): string[] {
  const canonical = scopes.map((text, index) => {
    const scope = parseScope(text, (host) => demandListed(parts, host).host)
    if (scope !== undefined) return scopeText(scope)
    const message = 'must be read, audit:read or rotate:HOST'
    throw new InvalidRequest('BODY_INVALID', [{ path: `scopes.${index}`, message }])
  })
  return [...new Set(canonical)]
}
