import type { IncomingMessage } from 'node:http'
import { adminTokenId } from '../admin-token.ts'
import { RegcreddError, toRegcreddError } from '../errors.ts'
import type { Refusals } from '../refusals.ts'
import type { FailureLimit } from './failure-limit.ts'
import type { TokenHolder, TokenStore } from './token-store.ts'

/** Who was let in: whoever may open the socket, or the holder of a token. */
export type Caller = { via: 'socket' } | { via: 'token'; holder: TokenHolder }

/** One way in to the admin API. */
export type Door = {
  /** Whether `Host`, port and all, names this door. */
  isHost(host: string): boolean
  /** What `Host` must be, for people. */
  hosts: string
  /** @throws TOKEN_REFUSED, TOKEN_EXPIRED, TOO_MANY_FAILURES, TOKENS_UNAVAILABLE */
  admit(request: IncomingMessage): Caller
  /** Told of a caller who was let in and asked for what he may not. */
  onForbidden(request: IncomingMessage, error: RegcreddError): void
}

const BEARER = /^Bearer ([\x21-\x7e]{1,512})$/i
const AUTHORITY = /^(\[[0-9a-f:.]{2,45}\]|[^:[\]]{1,255})(?::\d{1,5})?$/i
// The name of a client that came by the socket, or by a port that somebody forwards to it on his own machine.
const LOCAL_HOST = /^(?:localhost|regcredd|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i
const LOGGED_PATH_CHARACTERS = 256

/** The unix socket: its mode says who may open it, and who has opened it may do everything. */
export const socketDoor: Door = {
  isHost: (host) => LOCAL_HOST.test(host),
  hosts: '"localhost"',
  admit: () => ({ via: 'socket' }),
  onForbidden: () => {},
}

export type TokenDoorParts = {
  hosts: readonly string[]
  tokens: TokenStore
  failures: FailureLimit
  refusals: Refusals
}

/**
 * The TLS listener: every request shows a token. Only failures are held back: a right token is let in from an address that has failed too
 * often, since nobody guesses 256 bits, and a neighbour behind the same NAT must not be able to stop a rotation.
 */
export function createTokenDoor({ hosts, tokens, failures, refusals }: TokenDoorParts): Door {
  function note(request: IncomingMessage, { code }: RegcreddError): void {
    const { method = '', url = '', socket } = request
    const path = (url.split('?', 1)[0] ?? '').slice(0, LOGGED_PATH_CHARACTERS)
    const token = adminTokenId(bearerOf(request) ?? '')
    refusals.note({ code, peer: socket.remoteAddress ?? '', method, path, ...(token !== undefined && { token }) })
  }

  return {
    isHost(host) {
      const name = AUTHORITY.exec(host)?.[1]
        ?.toLowerCase()
        .replace(/^\[|\]$/g, '')
      return name !== undefined && hosts.includes(name)
    },
    hosts: 'one of admin.tls.hosts',
    admit(request) {
      try {
        return { via: 'token', holder: tokens.check(bearerOf(request) ?? '') }
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
