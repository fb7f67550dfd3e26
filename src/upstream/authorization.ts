import { RegcreddError } from '../errors.ts'
import type { Secret } from '../secret.ts'

/** What a registry or a proxy is shown by Basic. */
export type Login = { username: string; secret: Secret }

/** The username under which docker's config stores an identity token: a refresh token, not a password. */
const IDENTITY_TOKEN_USERNAME = '<token>'

/** Whether a username says that the secret beside it is an identity token, which only a token server may get, by POST. */
export function isIdentityToken(username: string): boolean {
  return username === IDENTITY_TOKEN_USERNAME
}

/**
 * The value of an `Authorization` header (RFC 7617, UTF-8).
 * @throws CREDENTIAL_REJECTED for a username that Basic cannot carry
 */
export function basicHeader(username: string, secret: Secret): string {
  if (isIdentityToken(username)) {
    throw new RegcreddError('CREDENTIAL_REJECTED', 'an identity token is only for registries that have a token server')
  }
  if (username.includes(':')) {
    throw new RegcreddError('CREDENTIAL_REJECTED', 'a username with a colon cannot be sent (RFC 7617)')
  }
  return `Basic ${Buffer.from(`${username}:${secret.reveal()}`).toString('base64')}`
}

/** The value of an `Authorization` header (RFC 6750 § 2.1). */
export function bearerHeader(token: Secret): string {
  return `Bearer ${token.reveal()}`
}

/** The body of a POST that trades an identity token for an access token (RFC 6749 § 6). */
export function refreshTokenForm(
  identityToken: Secret,
  ask: { service: string | undefined; scope: string | undefined },
): string {
  return new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'regcredd',
    ...(ask.service ? { service: ask.service } : {}),
    ...(ask.scope ? { scope: ask.scope } : {}),
    refresh_token: identityToken.reveal(),
  }).toString()
}
