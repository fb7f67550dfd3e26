import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { RegcreddError } from '../errors.ts'
import { type Credential, versionOf } from '../keychain/credential.ts'
import type { Secret } from '../secret.ts'
import type { ShownCertificate } from './client-certificate.ts'

export type CallerMode = 'token' | 'pull-secret' | 'mtls' | 'open'

/**
 * Who asks. A shared token says that the caller may read hosts.toml, and no more; a pull secret names a version of the credential, a
 * certificate whom its authority gave it to.
 */
export type Caller =
  | { kind: 'open' }
  | { kind: 'token' }
  | { kind: 'pull-secret'; version: string }
  | { kind: 'mtls'; name: string }

/** The header that `[host."…".header]` of hosts.toml sets. */
export const CALLER_TOKEN_HEADER = 'regcredd-token'

type BasicLogin = { username: string; password: string }

/**
 * Lets a caller through who shows one of the caller tokens: in its header or, for podman and skopeo, which can set no header, as the password
 * of Basic.
 * @throws CALLER_REFUSED
 */
export function callerByToken(headers: IncomingHttpHeaders, tokens: readonly Secret[]): Caller {
  const own = headers[CALLER_TOKEN_HEADER]
  const shown = typeof own === 'string' ? own : basicLogin(headers)?.password
  const isGood = shown !== undefined && tokens.some((token) => sameText(shown, token.reveal()))
  if (!isGood)
    throw new RegcreddError('CALLER_REFUSED', 'it needs a caller token, and the request carried none or a wrong one')
  return { kind: 'token' }
}

/**
 * Lets a caller through whose pod's pull secret is a version of the credential that would be lent to it: CURRENT, PENDING or PREVIOUS,
 * so that Secrets may follow a rotation. Asked without one, containerd sends the pod's; a wrong one gets a 403 and no second
 * challenge, which containerd would meet up to ten times.
 * @throws PULL_SECRET_REQUIRED, PULL_SECRET_WRONG, CREDENTIAL_MISSING
 */
export function callerByPullSecret(headers: IncomingHttpHeaders, credential: Credential | undefined): Caller {
  if (headers.authorization === undefined) throw new RegcreddError('PULL_SECRET_REQUIRED')
  if (credential?.current === undefined) throw new RegcreddError('CREDENTIAL_MISSING')
  const login = basicLogin(headers)
  const versions = (['current', 'pending', 'previous'] as const).flatMap((label) => versionOf(credential, label) ?? [])
  const found = versions.filter(({ username, secret }) => {
    const isUser = sameText(login?.username ?? '', username)
    return sameText(login?.password ?? '', secret.reveal()) && isUser
  })[0]
  if (login === undefined || found === undefined) throw new RegcreddError('PULL_SECRET_WRONG')
  return { kind: 'pull-secret', version: found.id }
}

/**
 * Lets a caller through whose connection stands on a client certificate of the listed authorities. It may end while the connection
 * stands, so its times are looked at for each request.
 * @throws CALLER_REFUSED
 */
export function callerByCertificate(shown: ShownCertificate, wallNowMs: number): Caller {
  if ('fault' in shown) throw refusedCertificate(shown.fault)
  if (wallNowMs > shown.toMs) throw refusedCertificate('it has expired')
  if (wallNowMs < shown.fromMs) throw refusedCertificate('it is not good yet')
  return { kind: 'mtls', name: shown.name }
}

function refusedCertificate(fault: string): RegcreddError {
  return new RegcreddError('CALLER_REFUSED', `it needs a client certificate: ${fault}`)
}

function basicLogin(headers: IncomingHttpHeaders): BasicLogin | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? '') ?? []
  if (encoded === undefined) return undefined
  const decoded = Buffer.from(encoded, 'base64').toString()
  const colon = decoded.indexOf(':')
  return { username: decoded.slice(0, Math.max(0, colon)), password: decoded.slice(colon + 1) }
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function sameText(shown: string, kept: string): boolean {
  return timingSafeEqual(digest(shown), digest(kept))
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
