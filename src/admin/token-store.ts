import { timingSafeEqual } from 'node:crypto'
import { adminTokenId, hashAdminToken } from '../admin-token.ts'
import { RegcreddError, toRegcreddError } from '../errors.ts'
import { InvalidRequest } from './problem.ts'
import { type KeptToken, readTokenFile, writeTokenFile } from './token-file.ts'
import { parseScope, type TokenScope } from './token-scope.ts'

export const MAX_TOKENS = 100
const DAY_MS = 86_400_000
/** How long an expired token is still listed and told that it has expired. */
const REMEMBERED_MS = 30 * DAY_MS
/** A use is noted when the last one noted is this old, so that a busy caller costs a write an hour. */
const USE_STEP_MS = 3_600_000

export type TokenRecord = Omit<KeptToken, 'sha256'>
export type NewToken = Pick<KeptToken, 'id' | 'name' | 'scopes' | 'sha256'> & { ttlSeconds: number }
/** Whom a token lets in. */
export type TokenHolder = { id: string; name: string | null; scopes: TokenScope[] }

export interface TokenStore {
  /** All of them, oldest first, those that expired lately among them. @throws TOKENS_UNAVAILABLE */
  list(): TokenRecord[]
  /** Durable when it resolves. @throws TOKEN_LIMIT, TOKENS_UNAVAILABLE, BODY_INVALID for an id that there is already */
  add(token: NewToken): Promise<TokenRecord>
  /**
   * Good for nothing at once, and for ever when it resolves. @throws TOKEN_NOT_FOUND, and TOKENS_UNAVAILABLE: it is still listed then, is to be revoked
   * once more, and would come back with the next start
   */
  revoke(id: string): Promise<TokenRecord>
  /** Whom the token that was shown lets in. @throws TOKEN_REFUSED, TOKEN_EXPIRED, TOKENS_UNAVAILABLE */
  check(shown: string): TokenHolder
  /** Writes down what is still to be written. Never throws. */
  close(): Promise<void>
}

export type TokenStoreParts = {
  path: string
  now: () => Date
  /** Told of what nobody waits for: a broken file at the start, a use that could not be noted. */
  onFault: (fault: RegcreddError) => void
}

/** Opens the tokens of a file. A file that is broken lets nobody in, and does not keep the daemon from starting. */
export async function openTokenStore(parts: TokenStoreParts): Promise<TokenStore> {
  try {
    return createTokenStore(parts, await readTokenFile(parts.path))
  } catch (thrown) {
    const broken = toRegcreddError(thrown)
    parts.onFault(broken)
    return createTokenStore(parts, broken)
  }
}

/** As `openTokenStore`, from what was read. */
export function createTokenStore(
  { path, now, onFault }: TokenStoreParts,
  read: KeptToken[] | RegcreddError,
): TokenStore {
  let tokens = byId(Array.isArray(read) ? read : [])
  let writing: Promise<void> = Promise.resolve()
  let noting: Promise<void> | undefined
  // A leaked token ends at once, also where the disk is full; the next write that works forgets it for good.
  const revoked = new Set<string>()

  function good(): Map<string, KeptToken> {
    if (!Array.isArray(read)) throw read
    return tokens
  }

  /** One change after the other; it is in force once it is on the disk. */
  function change<T>(act: (before: KeptToken[]) => { after: KeptToken[]; result: T }): Promise<T> {
    const turn = writing.then(async () => {
      const { after, result } = act([...good().values()].filter(({ id }) => !revoked.has(id)))
      await writeTokenFile(path, after)
      tokens = byId(after)
      for (const id of revoked) if (!tokens.has(id)) revoked.delete(id)
      return result
    })
    // A failure is its own caller's.
    writing = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }

  function noteUse(token: KeptToken): void {
    const at = now()
    if (token.lastUsedAt !== null && at.getTime() - Date.parse(token.lastUsedAt) < USE_STEP_MS) return
    const noted = { ...token, lastUsedAt: new Date(Math.floor(at.getTime() / 60_000) * 60_000).toISOString() }
    tokens.set(token.id, noted)
    noting ??= change((before) => ({ after: before, result: undefined }))
      .catch((thrown: unknown) => onFault(toRegcreddError(thrown)))
      .finally(() => {
        noting = undefined
      })
  }

  return {
    list: () => [...good().values()].map(describe),

    add: ({ ttlSeconds, ...token }) =>
      change((before) => {
        const nowMs = now().getTime()
        const kept = before.filter(({ expiresAt }) => Date.parse(expiresAt) + REMEMBERED_MS > nowMs)
        if (kept.some(({ id }) => id === token.id)) throw idTaken()
        if (kept.length >= MAX_TOKENS) throw new RegcreddError('TOKEN_LIMIT', `${MAX_TOKENS}; revoke one first`)
        const made: KeptToken = {
          ...token,
          createdAt: new Date(nowMs).toISOString(),
          expiresAt: new Date(nowMs + ttlSeconds * 1_000).toISOString(),
          lastUsedAt: null,
        }
        return { after: [...kept, made], result: describe(made) }
      }),

    async revoke(id) {
      const found = good().get(id)
      if (found === undefined) throw new RegcreddError('TOKEN_NOT_FOUND')
      revoked.add(id)
      return change((before) => ({ after: before, result: describe(found) }))
    },

    check(shown) {
      const token = good().get(adminTokenId(shown) ?? '')
      const isGood = token !== undefined && timingSafeEqual(hashAdminToken(shown), Buffer.from(token.sha256, 'hex'))
      if (!isGood || revoked.has(token.id)) throw new RegcreddError('TOKEN_REFUSED')
      if (now().getTime() >= Date.parse(token.expiresAt)) throw new RegcreddError('TOKEN_EXPIRED', token.expiresAt)
      noteUse(token)
      return { id: token.id, name: token.name, scopes: scopesOf(token) }
    },

    async close() {
      await noting
      await writing
    },
  }
}

function idTaken(): InvalidRequest {
  return new InvalidRequest('BODY_INVALID', [{ path: 'id', message: 'is taken' }])
}

function byId(tokens: KeptToken[]): Map<string, KeptToken> {
  return new Map(tokens.map((token) => [token.id, token]))
}

function describe({ sha256: _sha256, ...token }: KeptToken): TokenRecord {
  return token
}

/** As they were made, so canonical; one that this version does not know opens nothing. */
function scopesOf({ scopes }: KeptToken): TokenScope[] {
  return scopes.flatMap((text) => parseScope(text, (key) => key) ?? [])
}
