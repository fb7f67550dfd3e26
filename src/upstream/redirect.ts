import { isIP } from 'node:net'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { sameOrigin, withoutBrackets } from '../registry/origin.ts'
import { isAllowedAddress } from './address.ts'

/**
 * Decides whether a redirect may be followed and gives where to: http(s) only, never from https to http, no user in the URL, no
 * literal address that is private and not listed (names are checked when connected to). What a store's signed URL says never
 * gets into the error.
 * @throws REDIRECT_REFUSED
 */
export function redirectTarget(from: URL, location: string | undefined, registry: Registry): URL {
  const isPlain = location !== undefined && location !== '' && !/[\0-\x1f\x7f]/.test(location)
  const target = isPlain ? URL.parse(location, from) : null
  if (target === null) throw new RegcreddError('REDIRECT_REFUSED', 'its Location is missing or no URL')
  if (target.protocol !== 'https:' && (target.protocol !== 'http:' || from.protocol === 'https:')) {
    throw new RegcreddError('REDIRECT_REFUSED', 'it leads away from https')
  }
  if (target.username !== '' || target.password !== '') {
    throw new RegcreddError('REDIRECT_REFUSED', 'its URL carries a user')
  }
  // The URL parser has written `2130706433`, `0x7f.1` and their like as dotted addresses.
  const host = withoutBrackets(target.hostname)
  if (isIP(host) !== 0 && !sameOrigin(target, registry.upstream) && !isAllowedAddress(host, registry.allowAddresses)) {
    throw new RegcreddError('REDIRECT_REFUSED', 'it leads to a private address that allowAddresses does not list')
  }
  target.hash = ''
  return target
}
