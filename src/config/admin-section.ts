import { isIP } from 'node:net'
import { withoutBrackets } from '../registry/origin.ts'
import { isSameAddress, parseListen } from './address.ts'
import type { AdminTls, Config, ListenAddress } from './config.ts'
import { checkAbsolute, checkSocket, type ReadFile, readCertificates } from './files.ts'
import { DNS_NAME } from './names.ts'
import type { Report } from './problem.ts'
import type { ConfigFile } from './schema.ts'

/** What the API server calls itself where nobody says otherwise. */
const API_AUDIENCE = /^(?:https:\/\/)?kubernetes(?:\.default|$)/

/** `taken` are the addresses of the other listeners. */
export function resolveAdmin(
  { socket, mode, group, tokensFile, tls, kubernetesAuth }: ConfigFile['admin'],
  taken: (ListenAddress | undefined)[],
  readFile: ReadFile,
  report: Report,
): Config['admin'] | undefined {
  checkSocket(socket, 'admin.socket', report)
  checkAbsolute(tokensFile, 'admin.tokensFile', report)
  const resolved = tls && resolveTls(tls, taken, readFile, report)
  if (kubernetesAuth !== undefined) checkKubernetesAuth(kubernetesAuth, tls, report)
  return { socket, mode: Number.parseInt(mode, 8), group, tokensFile, tls: resolved, kubernetesAuth }
}

function resolveTls(
  tls: NonNullable<ConfigFile['admin']['tls']>,
  taken: (ListenAddress | undefined)[],
  readFile: ReadFile,
  report: Report,
): AdminTls | undefined {
  const { certFile, keyFile } = tls
  const listen = parseListen(tls.listen)
  if (listen === undefined) report('admin.tls.listen', 'must be an address and a port', 'such as 10.0.0.7:5443')
  else if (taken.some((other) => isSameAddress(other, listen)))
    report('admin.tls.listen', 'is the same as that of another listener')
  // The key is read when it is listened with: who checks a configuration need not be who may read it.
  checkAbsolute(keyFile, 'admin.tls.keyFile', report)
  readCertificates(certFile, 'admin.tls.certFile', readFile, report)
  const hosts = tls.hosts.map((host, index) => resolveHost(host, `admin.tls.hosts[${index}]`, report))
  return listen && { listen, certFile, keyFile, hosts }
}

function checkKubernetesAuth(
  { audience }: NonNullable<ConfigFile['admin']['kubernetesAuth']>,
  tls: ConfigFile['admin']['tls'],
  report: Report,
): void {
  const at = 'admin.kubernetesAuth'
  if (tls === undefined) report(at, 'needs admin.tls', 'tokens are shown there; the socket asks for none')
  if (API_AUDIENCE.test(audience)) {
    report(
      `${at}.audience`,
      "is the API server's own, which every pod has a token for",
      'take another, such as regcredd',
    )
  }
}

function resolveHost(text: string, at: string, report: Report): string {
  const host = withoutBrackets(text.toLowerCase())
  if (isIP(host) === 0 && !DNS_NAME.test(host)) {
    report(at, 'must be a name or an address, without a port', 'such as node-1.corp.example')
  }
  return host
}
