import { lookup as dnsLookup } from 'node:dns'
import { isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { type AddressCheck, addressRefused, type Lookup } from './address.ts'
import { toConnectionError } from './connection-error.ts'

/** Behind a proxy that resolves names, the DNS of a node often knows nothing of the outside, and takes its time to say so. */
const MAX_WAIT_MS = 2_000
const UNKNOWN_FOR_MS = 60_000
const MAX_UNKNOWN = 1_000

/**
 * Checks where a host leads that somebody else will connect to: the egress proxy, or a client that is sent there. An address, or a name
 * that has one here that is not allowed, is refused. A name that is not known here passes where `unknown` says so: what it means to who
 * connects cannot be seen from here, and neither can it where the DNS gives him another answer.
 * @throws ADDRESS_REFUSED; UPSTREAM_UNREACHABLE for a name that is not known here and must be
 */
export type NameCheck = (host: string, unknown: 'passes' | 'fails') => Promise<void>

export function createNameCheck(isAllowed: AddressCheck, lookup: Lookup = dnsLookup): NameCheck {
  const unknownNames = new LRUCache<string, true>({ max: MAX_UNKNOWN, ttl: UNKNOWN_FOR_MS })

  return async (host, unknown) => {
    if (isIP(host) !== 0) {
      if (!isAllowed(host)) throw addressRefused(host)
      return
    }
    if (unknown === 'passes' && unknownNames.has(host)) return
    const found = await resolve(host, lookup)
    if ('error' in found) {
      if (unknown === 'fails') throw toConnectionError(found.error)
      unknownNames.set(host, true)
      return
    }
    const refused = found.addresses.find((address) => !isAllowed(address))
    if (refused !== undefined) throw addressRefused(refused)
  }
}

function resolve(host: string, lookup: Lookup): Promise<{ addresses: string[] } | { error: NodeJS.ErrnoException }> {
  return new Promise((settle) => {
    const noAnswer = () => settle({ error: Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' }) })
    const timer = setTimeout(noAnswer, MAX_WAIT_MS)
    lookup(host, { all: true }, (error, found) => {
      clearTimeout(timer)
      if (error !== null) settle({ error })
      else if (found.length === 0) noAnswer()
      else settle({ addresses: found.map(({ address }) => address) })
    })
  })
}
