import type { Secret } from '../secret.ts'

/** Stands in a plan for the caller token, and for `user:token` in base64 as an auth file and Basic want it. */
export const CALLER_TOKEN = 'CALLER_TOKEN'
export const CALLER_TOKEN_BASIC = 'BASE64_OF_NODE_COLON_CALLER_TOKEN'
/** The daemon takes any username beside the token. */
const USERNAME = 'node'

/** A planned text with the token where its placeholder was: from here on it is a secret, for a file of mode 0600. */
export function withCallerToken(text: string, token: Secret): string {
  const basic = Buffer.from(`${USERNAME}:${token.reveal()}`).toString('base64')
  return text
    .replaceAll(`"${CALLER_TOKEN_BASIC}"`, `"${basic}"`)
    .replaceAll(`"Basic ${CALLER_TOKEN_BASIC}"`, `"Basic ${basic}"`)
    .replaceAll(`"${CALLER_TOKEN}"`, `"${token.reveal()}"`)
}
