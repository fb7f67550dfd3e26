import { isIP } from 'node:net'
import { errnoOf, RegcreddError } from './errors.ts'

/** LISTEN_FAILED with the key of the configuration, the address and what to do. */
export function listenFailure(
  key: 'proxy.listen' | 'health.listen' | 'admin.tls.listen',
  { host, port }: { host: string; port: number },
  cause: Error,
): RegcreddError {
  const code = errnoOf(cause) ?? 'unknown'
  const remedies: Record<string, string> = {
    EADDRINUSE: `another process listens there (see: ss -ltnp sport = :${port}); stop it or change ${key}`,
    EADDRNOTAVAIL: `this machine does not have that address; change ${key}`,
    EACCES: `ports below 1024 need a right that the daemon does not have; change ${key}`,
  }
  const where = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
  return new RegcreddError('LISTEN_FAILED', `${key} ${where}: ${remedies[code] ?? code}`, { cause })
}
