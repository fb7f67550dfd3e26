import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { RegcreddError } from '../errors.ts'
import { portOf, withoutBrackets } from '../registry/origin.ts'
import { basicHeader } from './authorization.ts'
import { reasonOf } from './connection-error.ts'
import type { EgressProxy } from './egress.ts'
import { trusting } from './trust.ts'

const MAX_HEAD_BYTES = 16_384
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r\n/

/**
 * Has the proxy open a way to `host` and `port` (CONNECT, RFC 9110 § 9.3.6); what is then said on it, TLS for one, is between us and the other end.
 * @throws EGRESS_PROXY_FAILED, which names the proxy and nothing else
 */
export async function openTunnel(
  proxy: EgressProxy,
  { host, port }: { host: string; port: number },
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connectTo(proxy)
  const gone = Promise.withResolvers<never>()
  const fail = (error: Error | undefined) => gone.reject(error ?? new RegcreddError('EGRESS_PROXY_FAILED'))
  const [ended, aborted] = [() => fail(failure(proxy, 'it closed the connection')), () => fail(outOfTime(proxy))]
  // Also for an error that comes when nobody looks any more.
  socket.on('error', (error) => fail(failure(proxy, reasonOf(error), error)))
  socket.once('end', ended).once('close', ended)
  signal.addEventListener('abort', aborted, { once: true })
  gone.promise.catch(() => undefined)
  try {
    if (signal.aborted) throw outOfTime(proxy)
    await Promise.race([once(socket, proxy.url.protocol === 'https:' ? 'secureConnect' : 'connect'), gone.promise])
    socket.write(requestHead(proxy, host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`), 'latin1')
    const status = await Promise.race([readStatus(socket, proxy), gone.promise])
    if (status < 200 || status > 299) throw failure(proxy, `it answered ${status}${hintFor(status, proxy)}`)
    socket.off('end', ended).off('close', ended)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', aborted)
  }
}

/** `detail` is shown to who pulls; the proxy's URL has no user in it. */
export function failure({ url }: EgressProxy, detail: string, cause?: unknown): RegcreddError {
  return new RegcreddError('EGRESS_PROXY_FAILED', `${placeOf(url)}: ${detail}`, { cause })
}

function outOfTime(proxy: EgressProxy): RegcreddError {
  return failure(proxy, 'the way did not stand in time')
}

function placeOf(url: URL): string {
  return `${url.hostname}:${portOf(url)}`
}

function connectTo({ url, ca }: EgressProxy): Socket {
  const host = withoutBrackets(url.hostname)
  const place = { host, port: portOf(url), autoSelectFamily: true }
  if (url.protocol === 'http:') return connectTcp(place)
  const trust = ca === undefined ? {} : { secureContext: trusting(ca) }
  return connectTls({ ...place, ...trust, ...(isIP(host) === 0 && { servername: host }), rejectUnauthorized: true })
}

function requestHead({ login }: EgressProxy, target: string): string {
  const authorization =
    login === undefined ? '' : `Proxy-Authorization: ${basicHeader(login.username, login.secret)}\r\n`
  return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${authorization}\r\n`
}

/** The other end speaks first in neither TLS nor HTTP, so whatever follows the head is no tunnel. */
async function readStatus(socket: Socket, proxy: EgressProxy): Promise<number> {
  let head = ''
  for (;;) {
    const piece: Buffer | null = socket.read()
    if (piece === null) {
      await once(socket, 'readable')
      continue
    }
    head += piece.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    const status = Number(STATUS_LINE.exec(head)?.[1])
    const isHttp = 'HTTP/1.'.startsWith(head.slice(0, 7)) && (!head.includes('\n') || !Number.isNaN(status))
    if (!isHttp || head.length > MAX_HEAD_BYTES) throw failure(proxy, 'it does not answer as an HTTP proxy')
    if (end === -1) continue
    if (status >= 200 && status <= 299 && head.length > end + 4) {
      throw failure(proxy, 'it does not answer as an HTTP proxy')
    }
    return status
  }
}

function hintFor(status: number, { login }: EgressProxy): string {
  // tinyproxy says 401 to a login that is wrong, and 407 to none.
  if (status === 407 || status === 401)
    return login === undefined ? ', it asks for a login: set egress.credentialsFile' : ', it refuses the login'
  if (status === 403 || status === 405) return ', it does not let this through'
  return status >= 502 && status <= 504 ? ', it does not reach the other end' : ''
}
