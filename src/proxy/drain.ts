import type { Server } from 'node:http'
import { closeServer } from '../close-server.ts'

/**
 * Takes no new connections and resolves when the requests under way have ended, their records included; those that last longer than
 * `drainTimeoutMs` are cut. `underWay` holds one promise for each request; none may reject.
 */
export async function drain(
  server: Server,
  drainTimeoutMs: number,
  underWay: ReadonlySet<Promise<void>>,
): Promise<void> {
  await closeServer(server, drainTimeoutMs)
  // A request that was cut settles a little later than its connection.
  await Promise.all(underWay)
}
