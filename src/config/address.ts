import { BlockList, isIP, isIPv6 } from 'node:net'
import { ipv6Groups } from '../ipv6-groups.ts'
import { withoutBrackets } from '../registry/origin.ts'
import type { ListenAddress } from './config.ts'

const LISTEN = /^(?:\[([^\]]+)\]|([^[\]:]+)):([0-9]{1,5})$/
const CIDR = /^([0-9a-fA-F.:]+)\/([0-9]{1,3})$/

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** RFC 1918 and RFC 4193. Link-local addresses stay out: that is where clouds serve instance credentials. */
const privateRanges = new BlockList()
privateRanges.addSubnet('10.0.0.0', 8, 'ipv4')
privateRanges.addSubnet('172.16.0.0', 12, 'ipv4')
privateRanges.addSubnet('192.168.0.0', 16, 'ipv4')
privateRanges.addSubnet('fc00::', 7, 'ipv6')

/** Reads `127.0.0.1:5050` or `[::1]:5050`; `undefined` where it is no IP literal with a port. */
export function parseListen(text: string): ListenAddress | undefined {
  const [, bracketed, bare, digits] = LISTEN.exec(text) ?? []
  const host = bracketed ?? bare ?? ''
  const port = Number(digits)
  const family = isIP(host)
  const isWellBracketed = bracketed === undefined ? family === 4 : family === 6
  return isWellBracketed && !host.includes('%') && port <= 65_535 ? { host, port } : undefined
}

/** Whether two listeners would be in each other's way; port 0 stands for a port of its own. */
export function isSameAddress(one: ListenAddress | undefined, other: ListenAddress | undefined): boolean {
  return one !== undefined && one.port !== 0 && one.port === other?.port && one.host === other.host
}

/** Whether an IP literal means this machine alone. */
export function isLoopback(address: string): boolean {
  return loopback.check(address, familyOf(address))
}

/** Whether a URL's host is an IP literal that no packet for it leaves the site: loopback or private. A name is never local, whatever it resolves to. */
export function isLocalLiteral(hostname: string): boolean {
  const address = withoutBrackets(hostname)
  return isIP(address) !== 0 && (isLoopback(address) || privateRanges.check(address, familyOf(address)))
}

/** Whether `text` is an address range such as `10.0.0.0/8` whose host bits are all zero. */
export function isCidr(text: string): boolean {
  const [, address, digits] = CIDR.exec(text) ?? []
  if (address === undefined || isIP(address) === 0) return false
  const bits = addressBits(address)
  const prefix = Number(digits)
  return prefix <= bits.length && !bits.slice(prefix).includes('1')
}

/** The family of an IP literal, as BlockList names it. */
export function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}

function addressBits(address: string): string {
  const parts = isIPv6(address)
    ? ipv6Groups(address).map((group) => toBits(Number.parseInt(group, 16), 16))
    : address.split('.').map((part) => toBits(Number(part), 8))
  return parts.join('')
}

function toBits(value: number, width: number): string {
  return value.toString(2).padStart(width, '0')
}
