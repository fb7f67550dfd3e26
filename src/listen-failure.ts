import { isIP, type Server } from 'node:net'
import { errnoOf, RegcreddError } from './errors.ts'

type ListenKey = 'proxy.listen' | 'health.listen' | 'admin.tls.listen'

type Address = { host: string; port: number }

/** `127.0.0.1:5050` or `[::1]:5050`: as the configuration says it. */
export function addressText({ host, port }: Address): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
}

/** Listens at the address that stands under `key` of the configuration. Throws LISTEN_FAILED with the key, the address and what to do. */
export function listenOn(server: Server, key: ListenKey, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(listenFailure(key, { host, port }, cause)))
    server.listen({ host, port, exclusive: true }, resolve)
  })
}

function listenFailure(key: ListenKey, address: Address, cause: Error): RegcreddError {
  const code = errnoOf(cause) ?? 'unknown'
  const remedies: Record<string, string> = {
    EADDRINUSE: `another process listens there (see: ss -ltnp sport = :${address.port}); stop it or change ${key}`,
    EADDRNOTAVAIL: `this machine does not have that address; change ${key}`,
    EACCES: `ports below 1024 need a right that the daemon does not have; change ${key}`,
  }
  return new RegcreddError('LISTEN_FAILED', `${key} ${addressText(address)}: ${remedies[code] ?? code}`, { cause })
}
