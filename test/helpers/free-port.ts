import { randomInt } from 'node:crypto'
import { createServer, type ListenOptions, type Server } from 'node:net'

/** Below the ports that Linux itself gives out (ip_local_port_range), so that no other socket is given one of these in passing. */
const FIRST = 20_000
const LAST = 32_000
const TRIES = 100

/**
 * A port of 127.0.0.1 that nobody listens on, for servers that cannot choose one themselves or must find theirs again. It is this
 * process's until it ends: no other process that asks here is given it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST, LAST)
    // In Linux's abstract namespace, a name is taken as long as its socket is open (unix(7)).
    const claim = await listening({ path: `\0regcredd-port-${port}` })
    if (claim === undefined) continue
    claim.unref()
    const server = await listening({ host: '127.0.0.1', port })
    if (server === undefined) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  throw new Error(`none of ${TRIES} ports is free`)
}

/** Undefined where the address is taken. */
function listening(where: ListenOptions): Promise<Server | undefined> {
  const server = createServer()
  return new Promise((resolve) => {
    server.on('error', () => resolve(undefined)).listen(where, () => resolve(server))
  })
}
