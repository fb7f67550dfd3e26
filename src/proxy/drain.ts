import type { Server } from 'node:http'

const SWEEP_INTERVAL_MS = 50

/**
 * Takes no new connections and resolves when the requests under way have ended, their records included; those that last longer than
 * `drainTimeoutMs` are cut. `underWay` holds one promise for each request; none may reject.
 */
export async function drain(
  server: Server,
  drainTimeoutMs: number,
  underWay: ReadonlySet<Promise<void>>,
): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), drainTimeoutMs)
    // A connection whose answer ends after close() would be kept for its next request, until its own time-out.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS)
    server.close(() => {
      clearTimeout(timer)
      clearInterval(sweep)
      resolve()
    })
  })
  // A request that was cut settles a little later than its connection.
  await Promise.all(underWay)
}
