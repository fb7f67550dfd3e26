import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { CALLER_TOKEN_HEADER, type CallerMode, callerByToken } from './caller.ts'
import type { Outcome } from './exchange.ts'

export type PingParts = {
  registries: readonly Registry[]
  /** The registry of requests that name none. */
  defaultRegistry: string
  /** Who may pull where a registry does not say. */
  callers: CallerMode
  /** Those that are good now. */
  callerTokens(): readonly Secret[]
  nowMs(): number
}

/**
 * `/v2/` is answered here, whatever the registry's state. Without a caller token it challenges, since podman, skopeo and dockerd take
 * from it whether to authenticate; containerd never asks it, so no pod's own secret is drawn out by this.
 */
export function ping(request: IncomingMessage, response: ServerResponse, parts: PingParts): Outcome {
  const isLetIn = isLetInBy(request, parts)
  const status = isLetIn ? 200 : 401
  if (!isLetIn) response.setHeader('www-authenticate', 'Basic realm="regcredd"')
  const body = '{}'
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    'docker-distribution-api-version': 'registry/2.0',
  })
  response.end(body)
  return {
    status,
    bytes: body.length,
    complete: true,
    digest: undefined,
    // Asking without anything is how clients learn that they must show something.
    code: isLetIn || !showsSomething(request) ? undefined : 'CALLER_REFUSED',
    cause: undefined,
  }
}

function isLetInBy(request: IncomingMessage, parts: PingParts): boolean {
  const callers = (isOfDockerd(request) ? modeOfDefault(parts) : undefined) ?? parts.callers
  if (callers === 'open') return true
  // A pull secret is looked at when a registry is named; here it is enough that one is shown.
  if (callers === 'pull-secret') return request.headers.authorization !== undefined
  if (callers === 'token') return passes(() => callerByToken(request.headers, parts.callerTokens()))
  // A certificate is looked at when a registry is named: podman and skopeo lose the words of a refusal at this place. Registries of
  // other modes need a login, which they show only after a challenge here.
  const isLoginNeeded = parts.registries.some(({ callers: own }) => own === 'token' || own === 'pull-secret')
  return !isLoginNeeded || request.headers.authorization !== undefined
}

/** dockerd has mirrors for the default registry alone, and would show that registry's own password to a challenge, or give up without one. */
function isOfDockerd({ headers }: IncomingMessage): boolean {
  return /^docker\//.test(headers['user-agent'] ?? '')
}

function modeOfDefault({ registries, defaultRegistry }: PingParts): CallerMode | undefined {
  return registries.find(({ name }) => name === defaultRegistry)?.callers
}

function passes(check: () => void): boolean {
  try {
    check()
    return true
  } catch (thrown) {
    if (thrown instanceof RegcreddError) return false
    throw thrown
  }
}

function showsSomething({ headers }: IncomingMessage): boolean {
  return headers.authorization !== undefined || headers[CALLER_TOKEN_HEADER] !== undefined
}
