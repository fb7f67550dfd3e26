import { RegcreddError } from './errors.ts'
import { replaceFile } from './replace-file.ts'
import type { Secret } from './secret.ts'

/** What the token of a ServiceAccount says of itself. It is not verified here: the API server does that. */
export type AccountClaims = { namespace: string; account: string; issuedAtMs: number; expiresAtMs: number }

const MAX_CHARS = 16_384
const JWT = /^[\w-]+\.([\w-]+)\.[\w-]+$/
const SUBJECT =
  /^system:serviceaccount:([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/

/** Throws KUBERNETES_FAILED for anything but a ServiceAccount's token with an end; the error shows nothing of it. */
export function readClaims(token: Secret): AccountClaims {
  const text = token.reveal()
  const [, payload] = (text.length <= MAX_CHARS && JWT.exec(text)) || []
  const claims = payload === undefined ? undefined : parsed(Buffer.from(payload, 'base64url').toString('utf8'))
  const { sub, iat, exp } = claims ?? {}
  const [, namespace, account] = (typeof sub === 'string' && SUBJECT.exec(sub)) || []
  if (namespace === undefined || account === undefined || !isSeconds(iat) || !isSeconds(exp) || exp <= iat) {
    throw new RegcreddError('KUBERNETES_FAILED', 'what was given is no token of a ServiceAccount that ends some day')
  }
  return { namespace, account, issuedAtMs: iat * 1_000, expiresAtMs: exp * 1_000 }
}

/** Puts the token into its file (mode 0600) in one step, so that whoever reads it meanwhile has the old one or the new one. */
export function keepToken(path: string, token: Secret): Promise<void> {
  return replaceFile(path, `${token.reveal()}\n`)
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value < 1e11
}
