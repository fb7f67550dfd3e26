import { RegcreddError } from '../errors.ts'

/** What a token may do. `read` is everything that is not the audit; `rotate` is for one registry. */
export type TokenScope = { kind: 'read' } | { kind: 'audit:read' } | { kind: 'rotate'; registry: string }

/** What opens an endpoint: one of these, where `rotate` is for the registry that the request is about; `any` is any good token. */
export type Opener = TokenScope['kind'] | 'any'

const ROTATE = 'rotate:'

/** Reads a scope as people write it; `canonicalKey` as `AdminParts` has it. Throws what that throws; `undefined` for what is no scope. */
export function parseScope(text: string, canonicalKey: (host: string) => string): TokenScope | undefined {
  if (text === 'read' || text === 'audit:read') return { kind: text }
  if (!text.startsWith(ROTATE)) return undefined
  return { kind: 'rotate', registry: canonicalKey(text.slice(ROTATE.length)) }
}

export function scopeText(scope: TokenScope): string {
  return scope.kind === 'rotate' ? `${ROTATE}${scope.registry}` : scope.kind
}

/**
 * Lets a token through that has one of `openers`; `registry` is the one that the request is about.
 * Throws TOKEN_SCOPE_MISSING.
 */
export function demandScope(
  held: readonly TokenScope[],
  openers: readonly Opener[],
  registry: string | undefined,
): void {
  const isOpen = openers.some((opener) => opener === 'any' || held.some((scope) => opens(scope, opener, registry)))
  if (isOpen) return
  const wanted = openers.map((opener) => (opener === 'rotate' ? `${ROTATE}${registry}` : opener)).join(' or ')
  throw new RegcreddError(
    'TOKEN_SCOPE_MISSING',
    openers.length === 0 ? 'no scope does: it is for the admin socket alone' : `it needs ${wanted}`,
  )
}

function opens(scope: TokenScope, opener: Opener, registry: string | undefined): boolean {
  if (scope.kind !== opener) return false
  return scope.kind !== 'rotate' || (registry !== undefined && scope.registry === registry)
}
