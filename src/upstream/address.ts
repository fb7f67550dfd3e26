import { lookup as dnsLookup, type LookupAddress, type LookupAllOptions } from 'node:dns'
import { BlockList, isIP, isIPv4, type LookupFunction } from 'node:net'
import { familyOf } from '../config/address.ts'
import { RegcreddError } from '../errors.ts'
import { ipv6Groups } from '../ipv6-groups.ts'

/** IANA's special-purpose IPv4 registry, without what is globally reachable; multicast and the reserved rest. */
const SPECIAL_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]
/** RFC 4291 § 2.4: all global unicast that is assigned. The special ranges within follow. */
const GLOBAL_IPV6 = ['2000::/3']
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '3fff::/20']

const specialIpv4 = ranges(SPECIAL_IPV4)
const globalIpv6 = ranges(GLOBAL_IPV6)
const specialIpv6 = ranges(SPECIAL_IPV6)

/** `dns.lookup`, as it is used here. */
export type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/** Says whether an IP address may be connected to. */
export type AddressCheck = (address: string) => boolean

/**
 * A check that lets only global unicast addresses pass, and those in `allowAddresses` (CIDR or single addresses).
 * Addresses that carry an IPv4 address (mapped, NAT64, 6to4) are judged by the one they carry.
 * @throws CONFIG_INVALID for an entry that is no range
 */
export function addressCheck(allowAddresses: string[]): AddressCheck {
  const allowed = ranges(allowAddresses)
  const check: AddressCheck = (text) => {
    const address = text.replace(/%.*$/, '')
    if (isIP(address) === 0) return false
    if (isIn(allowed, address)) return true
    if (isIPv4(address)) return !isIn(specialIpv4, address)
    const carried = carriedIpv4(address)
    return carried === undefined ? isIn(globalIpv6, address) && !isIn(specialIpv6, address) : check(carried)
  }
  return check
}

/** Whether one address may be connected to: see `addressCheck`. */
export function isAllowedAddress(address: string, allowAddresses: string[]): boolean {
  return addressCheck(allowAddresses)(address)
}

/**
 * A `lookup` for net.connect that refuses a name as soon as one of its addresses is not allowed, so what is checked is what is
 * connected to and no second answer of the DNS can slip in between. It gives ADDRESS_REFUSED as the connection's error.
 */
export function guardedLookup(isAllowed: AddressCheck, lookup: Lookup = dnsLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? []
      if (error !== null || first === undefined) return callback(error ?? new Error('no address'), '', 0)
      const refused = addresses.find(({ address }) => !isAllowed(address))
      if (refused !== undefined) return callback(addressRefused(refused.address), '', 0)
      if (options.all) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

/** The address stands in the cause only: whoever asks through the proxy is not to learn what lies where. */
export function addressRefused(address: string): RegcreddError {
  const cause = new Error(`${address} is not global unicast and lies in no range of allowAddresses`)
  return new RegcreddError('ADDRESS_REFUSED', 'a private range must be listed in allowAddresses', { cause })
}

function ranges(texts: string[]): BlockList {
  const list = new BlockList()
  for (const text of texts) {
    const [, address = '', prefix] = /^([0-9A-Fa-f.:]+)(?:\/([0-9]{1,3}))?$/.exec(text) ?? []
    const bits = isIP(address) === 4 ? 32 : 128
    const length = prefix === undefined ? bits : Number(prefix)
    if (isIP(address) === 0 || length > bits) {
      throw new RegcreddError('CONFIG_INVALID', 'allowAddresses holds something that is no address range')
    }
    list.addSubnet(address, length, familyOf(address))
  }
  return list
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, familyOf(address))
}

/** The IPv4 address within `::ffff:0:0/96` (RFC 4291), `64:ff9b::/96` (RFC 6052) or `2002::/16` (RFC 3056). */
function carriedIpv4(address: string): string | undefined {
  const groups = ipv6Groups(address)
  const head = groups.slice(0, 6).join(':')
  if (head === '0:0:0:0:0:ffff' || head === '64:ff9b:0:0:0:0') return dotted(groups[6], groups[7])
  return groups[0] === '2002' ? dotted(groups[1], groups[2]) : undefined
}

function dotted(high = '0', low = '0'): string {
  return [high, low].flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]).join('.')
}
