import { isIP } from 'node:net'
import { isLoopback } from '../config/address.ts'
import type { EgressSetting } from '../config/config.ts'
import { isExcepted, type NoProxyRule, parseNoProxy } from '../config/no-proxy.ts'
import { RegcreddError } from '../errors.ts'
import { parseOrigin, withoutBrackets } from '../registry/origin.ts'
import { Secret } from '../secret.ts'
import type { Login } from './authorization.ts'

/** A proxy that opens tunnels; `url` is an origin, so that it may be shown. */
export type EgressProxy = { url: URL; login: Login | undefined; ca: string | undefined }

/** Which way leads to a URL; undefined: straight there. */
export type Egress = { proxyFor(to: URL): EgressProxy | undefined }

export const straight: Egress = { proxyFor: () => undefined }

/** As the configuration says; `login` is what `credentialsFile` or the systemd credential holds. */
export function egressBySetting({ proxy, noProxy, ca }: EgressSetting, login: Login | undefined): Egress {
  if (proxy === undefined) return straight
  return byRules(() => ({ url: proxy, login, ca }), noProxy)
}

/**
 * As HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, in this or in lower case; the first that is set counts. `unread` counts entries of
 * NO_PROXY that mean nothing; `proxies` are those that there are.
 * @throws CONFIG_INVALID for a proxy that is no http(s) URL: going straight instead would be a surprise
 */
export function egressByEnvironment(environment: NodeJS.ProcessEnv): {
  egress: Egress
  proxies: EgressProxy[]
  unread: number
} {
  const read = (name: string) => environment[name] || environment[name.toLowerCase()] || undefined
  const https = proxyOf('HTTPS_PROXY', read('HTTPS_PROXY'))
  const http = proxyOf('HTTP_PROXY', read('HTTP_PROXY'))
  const { rules, unread } = parseNoProxy(read('NO_PROXY') ?? '')
  const proxies = [https, http].filter((proxy) => proxy !== undefined)
  return { egress: byRules((to) => (to.protocol === 'https:' ? https : http), rules), proxies, unread }
}

/** Nothing that lies on this machine is asked through a proxy: its loopback is another. */
function byRules(proxyOfUrl: (to: URL) => EgressProxy | undefined, rules: readonly NoProxyRule[]): Egress {
  return { proxyFor: (to) => (isHere(to) || isExcepted(to, rules) ? undefined : proxyOfUrl(to)) }
}

function isHere({ hostname }: URL): boolean {
  const host = withoutBrackets(hostname).replace(/\.$/, '')
  return isIP(host) === 0 ? host === 'localhost' || host.endsWith('.localhost') : isLoopback(host)
}

/** `corp.example:3128` is understood as http://, as curl and Go do. Its text goes into no message: it may hold a password. */
function proxyOf(name: string, text: string | undefined): EgressProxy | undefined {
  if (text === undefined) return undefined
  const given = URL.parse(text.includes('://') ? text : `http://${text}`)
  const isPlain = given !== null && /^\/?$/.test(given.pathname) && given.search === '' && given.hash === ''
  if (!isPlain || (given.protocol !== 'http:' && given.protocol !== 'https:'))
    throw new RegcreddError(
      'CONFIG_INVALID',
      `${name} in the environment must be http://host:port or https://host:port`,
    )
  return { url: parseOrigin(`${given.protocol}//${given.host}`), login: loginOf(name, given), ca: undefined }
}

function loginOf(name: string, { username, password }: URL): Login | undefined {
  if (username === '' && password === '') return undefined
  try {
    return { username: decodeURIComponent(username), secret: new Secret(decodeURIComponent(password)) }
  } catch {
    throw new RegcreddError(
      'CONFIG_INVALID',
      `${name} in the environment has a user or password that is not percent-encoded`,
    )
  }
}
