import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { RegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'

/** Who asks. A shared token says that the caller may read hosts.toml, and no more. */
export type Caller = { kind: 'open' } | { kind: 'token' }

export type CallerPolicy = { mode: 'open' } | { mode: 'token'; token: Secret }

/** The header that `[host."…".header]` of hosts.toml sets. */
export const CALLER_TOKEN_HEADER = 'regcredd-token'

/**
 * Says who calls, by the token in its header or, for podman and skopeo, which can set no header, as the password of Basic.
 * @throws CALLER_REFUSED
 */
export function identifyCaller(headers: IncomingHttpHeaders, policy: CallerPolicy): Caller {
  if (policy.mode === 'open') return { kind: 'open' }
  const shown = shownToken(headers)
  if (shown === undefined || !sameToken(shown, policy.token.reveal())) throw new RegcreddError('CALLER_REFUSED')
  return { kind: 'token' }
}

function shownToken(headers: IncomingHttpHeaders): string | undefined {
  const own = headers[CALLER_TOKEN_HEADER]
  if (typeof own === 'string') return own
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? '') ?? []
  if (encoded === undefined) return undefined
  const decoded = Buffer.from(encoded, 'base64').toString()
  return decoded.slice(decoded.indexOf(':') + 1)
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function sameToken(shown: string, token: string): boolean {
  return timingSafeEqual(digest(shown), digest(token))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
