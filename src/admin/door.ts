import type { IncomingMessage } from 'node:http'
import { adminTokenId, isAdminTokenLike } from '../admin-token.ts'
import { RegcreddError, toRegcreddError } from '../errors.ts'
import type { Refusals } from '../refusals.ts'
import type { FailureLimit } from './failure-limit.ts'
import type { KubernetesCallers, KubernetesUser } from './kubernetes-callers.ts'
import type { TokenHolder, TokenStore } from './token-store.ts'

/** Who was let in: whoever may open the socket, the holder of a token, or a user of the cluster. */
export type Caller =
  | { via: 'socket' }
  | { via: 'token'; holder: TokenHolder }
  | { via: 'kubernetes'; user: KubernetesUser }

/** One way in to the admin API. */
export type Door = {
  /** Whether `Host`, port and all, names this door. */
  isHost(host: string): boolean
  /** What `Host` must be, for people. */
  hosts: string
  /** @throws TOKEN_REFUSED, TOKEN_EXPIRED, TOO_MANY_FAILURES, TOKENS_UNAVAILABLE, KUBERNETES_AUTH_UNAVAILABLE */
  admit(request: IncomingMessage): Promise<Caller>
  /** Told of a caller who was let in and asked for what he may not. */
  onForbidden(request: IncomingMessage, error: RegcreddError, caller: Caller): void
}

const BEARER = /^Bearer ([\x21-\x7e]{1,8192})$/i
const AUTHORITY = /^(\[[0-9a-f:.]{2,45}\]|[^:[\]]{1,255})(?::\d{1,5})?$/i
// The name of a client that came by the socket, or by a port that somebody forwards to it on his own machine.
const LOCAL_HOST = /^(?:localhost|regcredd|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i
/** So much of a path is logged and recorded. */
export const LOGGED_PATH_CHARACTERS = 256
/** How often the cluster is asked for somebody from an address that has failed too often. */
const HELD_REVIEW_EVERY_MS = 250

/** The unix socket: its mode says who may open it, and who has opened it may do everything. */
export const socketDoor: Door = {
  isHost: (host) => LOCAL_HOST.test(host),
  hosts: '"localhost"',
  admit: async () => ({ via: 'socket' }),
  onForbidden: () => {},
}

export type TokenDoorParts = {
  hosts: readonly string[]
  tokens: TokenStore
  failures: FailureLimit
  refusals: Refusals
  /** Absent: the cluster lets nobody in. */
  kubernetesCallers?: KubernetesCallers
  nowMs?: () => number
}

/**
 * The TLS listener: every request shows a token. Only failures are held back: a right token is let in from an address that has failed too
 * often, since nobody guesses 256 bits, and a neighbour behind the same NAT must not be able to stop a rotation.
 */
export function createTokenDoor(parts: TokenDoorParts): Door {
  const { hosts, tokens, failures, refusals, kubernetesCallers, nowMs = () => performance.now() } = parts
  let heldReviewMs = Number.NEGATIVE_INFINITY

  /** A review costs the API server something: who is held back gets few of them, and his neighbour behind the same NAT still gets in. */
  function demandReview(address: string): void {
    const retryAfterS = failures.held(address)
    if (retryAfterS === undefined) return
    if (nowMs() - heldReviewMs < HELD_REVIEW_EVERY_MS)
      throw new RegcreddError('TOO_MANY_FAILURES', undefined, { retryAfterS })
    heldReviewMs = nowMs()
  }

  async function callerOf(token: string, address: string): Promise<Caller> {
    // A mistyped token of our own is no business of the cluster's.
    if (kubernetesCallers === undefined || token === '' || isAdminTokenLike(token)) {
      return { via: 'token', holder: tokens.check(token) }
    }
    if (!kubernetesCallers.isKnown(token)) demandReview(address)
    return { via: 'kubernetes', user: await kubernetesCallers.check(token) }
  }

  function note(request: IncomingMessage, { code }: RegcreddError, caller?: Caller): void {
    const { method = '', url = '', socket } = request
    const path = (url.split('?', 1)[0] ?? '').slice(0, LOGGED_PATH_CHARACTERS)
    const token = adminTokenId(bearerOf(request) ?? '')
    const who = caller?.via === 'kubernetes' ? { user: caller.user.name } : { ...(token !== undefined && { token }) }
    refusals.note({ code, peer: socket.remoteAddress ?? '', method, path, ...who })
  }

  return {
    isHost(host) {
      const name = AUTHORITY.exec(host)?.[1]
        ?.toLowerCase()
        .replace(/^\[|\]$/g, '')
      return name !== undefined && hosts.includes(name)
    },
    hosts: 'one of admin.tls.hosts',
    async admit(request) {
      try {
        return await callerOf(bearerOf(request) ?? '', request.socket.remoteAddress ?? '')
      } catch (thrown) {
        const error = toRegcreddError(thrown)
        if (error.status !== 401) throw error
        note(request, error)
        const retryAfterS = failures.failed(request.socket.remoteAddress ?? '')
        throw retryAfterS === undefined ? error : new RegcreddError('TOO_MANY_FAILURES', undefined, { retryAfterS })
      }
    },
    onForbidden: note,
  }
}

/** Node keeps the first of two headers; which one was meant is not ours to say. */
function bearerOf(request: IncomingMessage): string | undefined {
  const [value, ...more] = request.headersDistinct['authorization'] ?? []
  return more.length > 0 ? undefined : BEARER.exec(value ?? '')?.[1]
}
