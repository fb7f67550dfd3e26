import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { originOf, sameOrigin } from '../registry/origin.ts'

/** Registries that are known to have their token server elsewhere. */
const KNOWN_PAIRS = new Map([
  ['docker.io', 'https://auth.docker.io'],
  ['registry.gitlab.com', 'https://gitlab.com'],
])

/**
 * Decides whether a credential of `registry` may be sent to the token server that a challenge names: only on the registry's own
 * origin, on that of a known pair, or on one listed in `realms`, and never in clear where the registry speaks TLS (CVE-2020-15157 and its kin).
 * A relative realm is resolved against `requestUrl`. Which address the name leads to is checked when it is connected to.
 * @throws REALM_REFUSED
 */
export function allowedRealm(registry: Registry, realmText: string, requestUrl: URL): URL {
  // The URL parser drops tabs and line ends and takes a backslash for a slash; an honest realm has none of them.
  const realm = /[\s\\\0-\x1f\x7f]/.test(realmText) ? null : URL.parse(realmText, requestUrl)
  if (realm === null || (realm.protocol !== 'https:' && realm.protocol !== 'http:')) {
    throw new RegcreddError('REALM_REFUSED', 'it is no http(s) URL')
  }
  if (realm.username !== '' || realm.password !== '') {
    throw new RegcreddError('REALM_REFUSED', 'its URL carries a user')
  }
  if (registry.upstream.protocol === 'https:' && realm.protocol !== 'https:') {
    throw new RegcreddError('REALM_REFUSED', 'it would get the credential without TLS')
  }
  if (!isKnown(registry, realm)) {
    throw new RegcreddError('REALM_REFUSED', `${originOf(realm)} is not among the realms of ${registry.name}`)
  }
  realm.hash = ''
  return realm
}

function isKnown(registry: Registry, realm: URL): boolean {
  const origin = originOf(realm)
  return (
    sameOrigin(realm, registry.upstream) ||
    KNOWN_PAIRS.get(registry.host) === origin ||
    registry.realms.includes(origin)
  )
}
