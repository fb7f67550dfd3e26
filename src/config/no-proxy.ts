import { BlockList, isIP } from 'node:net'
import { portOf, withoutBrackets } from '../registry/origin.ts'
import { familyOf } from './address.ts'

/** One entry of NO_PROXY; `port` is undefined for all ports. */
export type NoProxyRule =
  | { what: 'all' }
  | { what: 'name'; name: string; isSelfMeant: boolean; port: number | undefined }
  | { what: 'range'; range: BlockList; port: number | undefined }

const MAX_NAME_LENGTH = 253
/** Underscores are no part of a host name, yet names of services have them. */
const NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/
const BRACKETED = /^\[([0-9a-f:.]+)\](?::([0-9]{1,5}))?$/
const WITH_PORT = /^([^:]+):([0-9]{1,5})$/
const CIDR = /^([0-9a-f:.]+)\/([0-9]{1,3})$/

/**
 * Reads one entry as Go's `httpproxy` does, which containerd and the kubelet go by: `corp.example` means the name and all names below it,
 * `.corp.example` and `*.corp.example` only those below, `*` everything; an address or CIDR range means addresses in a URL, and no name
 * that resolves to one. Gives `undefined` for what is none of these.
 */
export function parseNoProxyEntry(text: string): NoProxyRule | undefined {
  const entry = text.trim().toLowerCase()
  if (entry === '*') return { what: 'all' }
  const [, rangeAddress = '', digits] = CIDR.exec(entry) ?? []
  if (digits !== undefined) return rangeOf(rangeAddress, Number(digits), undefined)
  if (isIP(entry) !== 0) return rangeOf(entry, undefined, undefined)
  const [, host = entry, port] = BRACKETED.exec(entry) ?? WITH_PORT.exec(entry) ?? []
  const portNumber = port === undefined ? undefined : Number(port)
  if (portNumber !== undefined && (portNumber < 1 || portNumber > 65_535)) return undefined
  if (isIP(host) !== 0) return rangeOf(host, undefined, portNumber)
  const name = host.replace(/^\*?\./, '').replace(/\.$/, '')
  // A last label of digits would be an address in a URL, in one of the spellings that are not canonical.
  if (name.length > MAX_NAME_LENGTH || !NAME.test(name) || /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/.test(name))
    return undefined
  return { what: 'name', name, isSelfMeant: host.startsWith(name), port: portNumber }
}

/** Reads the text of the variable; `unread` counts entries that mean nothing. */
export function parseNoProxy(text: string): { rules: NoProxyRule[]; unread: number } {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '')
  const rules = entries.flatMap((entry) => parseNoProxyEntry(entry) ?? [])
  return { rules, unread: entries.length - rules.length }
}

/** Whether a URL is to be asked without the proxy. */
export function isExcepted(url: URL, rules: readonly NoProxyRule[]): boolean {
  const host = withoutBrackets(url.hostname).replace(/\.$/, '')
  const port = portOf(url)
  return rules.some((rule) => {
    if (rule.what === 'all') return true
    if (rule.port !== undefined && rule.port !== port) return false
    if (rule.what === 'range') return isIP(host) !== 0 && rule.range.check(host, familyOf(host))
    return host.endsWith(`.${rule.name}`) || (rule.isSelfMeant && host === rule.name)
  })
}

function rangeOf(address: string, prefix: number | undefined, port: number | undefined): NoProxyRule | undefined {
  const family = isIP(address)
  const bits = family === 4 ? 32 : 128
  if (family === 0 || (prefix ?? 0) > bits) return undefined
  const range = new BlockList()
  range.addSubnet(address, prefix ?? bits, familyOf(address))
  return { what: 'range', range, port }
}
