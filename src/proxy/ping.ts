import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { CALLER_TOKEN_HEADER, type CallerMode, callerByCertificate, callerByToken } from './caller.ts'
import type { ShownCertificate } from './client-certificate.ts'
import type { Outcome } from './exchange.ts'

export type PingParts = {
  registries: readonly Registry[]
  /** Who may pull where a registry does not say. */
  callers: CallerMode
  /** Those that are good now. */
  callerTokens(): readonly Secret[]
  nowMs(): number
  wallNowMs(): number
}

/**
 * `/v2/` is answered here, whatever the registry's state. Without a caller token it challenges, since podman, skopeo and dockerd take
 * from it whether to authenticate; containerd never asks it, so no pod's own secret is drawn out by this.
 * @throws CALLER_REFUSED without a good certificate, where nothing else would open a registry
 */
export function ping(
  request: IncomingMessage,
  response: ServerResponse,
  certificate: ShownCertificate,
  parts: PingParts,
): Outcome {
  const isLetIn = isLetInBy(request, certificate, parts)
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

function isLetInBy(request: IncomingMessage, certificate: ShownCertificate, parts: PingParts): boolean {
  const { callers } = parts
  if (callers === 'open') return true
  // A pull secret is looked at when a registry is named; here it is enough that one is shown.
  if (callers === 'pull-secret') return request.headers.authorization !== undefined
  if (callers === 'token') return passes(() => callerByToken(request.headers, parts.callerTokens()))
  // Registries of other modes need a login, which clients show only after a challenge to this.
  if (parts.registries.some((registry) => registry.callers === 'token' || registry.callers === 'pull-secret'))
    return request.headers.authorization !== undefined
  callerByCertificate(certificate, parts.wallNowMs())
  return true
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
