import type { IncomingMessage } from 'node:http'
import { isIPv4 } from 'node:net'
import { RegcreddError } from '../errors.ts'

/**
 * Lets through requests whose one Host header is a loopback name or address: a web page that has its own name resolve to
 * 127.0.0.1 (DNS rebinding) sends that name. Node's parser accepts two Host headers, and none in HTTP/1.0.
 * @throws REQUEST_MALFORMED, HOST_REFUSED
 */
export function checkHost(request: IncomingMessage): void {
  const hosts = request.headersDistinct['host'] ?? []
  const [host] = hosts
  if (host === undefined || hosts.length > 1)
    throw new RegcreddError('REQUEST_MALFORMED', 'exactly one Host header is needed')
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase()
  if (name !== 'localhost' && name !== '[::1]' && !(isIPv4(name) && name.startsWith('127.')))
    throw new RegcreddError('HOST_REFUSED')
}
