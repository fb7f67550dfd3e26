import { RegcreddError } from '../errors.ts'
import type { Credential, Version } from '../keychain/credential.ts'
import type { Secret } from '../secret.ts'
import { basicHeader, bearerHeader } from '../upstream/authorization.ts'
import type { LoginBreaker } from '../upstream/login-breaker.ts'
import type { Authorization } from '../upstream/steps.ts'

/** The versions of a credential in the order of trying: first those that are not held back or have a token, and which are held back. */
export type Lineup = { versions: string[]; barred: (string | undefined)[] }

/**
 * Puts held-back versions last. A version with a token may go on with it while its login is held back.
 * @throws CREDENTIAL_REJECTED if nothing is left to try, so that the registry is not asked at all
 */
export function lineUp(
  order: string[],
  held: { retryAt(version: string): Date | undefined; hasToken(version: string): boolean },
): Lineup {
  const barred = order.filter((version) => held.retryAt(version) !== undefined)
  const canBegin = (version: string) => !barred.includes(version) || held.hasToken(version)
  const versions = [...order.filter(canBegin), ...order.filter((version) => !canBegin(version))]
  const [first] = versions
  if (first !== undefined && !canBegin(first)) throw heldBack(order, held.retryAt)
  return { versions, barred }
}

/** What a pull is told whose logins are all refused or held back. */
export function heldBack(versions: readonly string[], retryAt: (version: string) => Date | undefined): RegcreddError {
  const times = versions.flatMap((version) => retryAt(version)?.getTime() ?? [])
  if (times.length === 0) return new RegcreddError('CREDENTIAL_REJECTED')
  const soonest = new Date(Math.min(...times)).toISOString().replace(/\.\d+/, '')
  return new RegcreddError('CREDENTIAL_REJECTED', `it is not tried again before ${soonest}, unless it is replaced`)
}

/** The versions held back for one repository of a registry, as a look-up. */
export function retryTimes(breaker: LoginBreaker, registry: string, repository: string) {
  return (version: string): Date | undefined => breaker.retryAt(registry, version, repository)
}

export function loginOf(
  credential: Credential | undefined,
  id: string | undefined,
): (Version & { version: string }) | undefined {
  const found = credential?.versions.find((version) => version.id === id)
  return found === undefined ? undefined : { ...found, version: found.id }
}

/** The value of Authorization, made at the last moment; `undefined` where nothing is to be sent. */
export function authorizationHeader(
  authorization: Authorization,
  credential: Credential | undefined,
  token: Secret | undefined,
): string | undefined {
  if (authorization.by === 'nobody') return undefined
  if (authorization.by === 'bearer') return token === undefined ? undefined : bearerHeader(token)
  const login = loginOf(credential, authorization.version)
  return login === undefined ? undefined : basicHeader(login.username, login.secret)
}
