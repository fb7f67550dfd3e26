import type { Server } from 'node:http'

const SWEEP_INTERVAL_MS = 50

/** Takes no new connections and resolves when all have ended; those that last longer than `drainTimeoutMs` are cut. */
export function closeServer(server: Server, drainTimeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), drainTimeoutMs)
    // A connection whose answer ends after close() would be kept for its next request, until its own time-out.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS)
    server.close(() => {
      clearTimeout(timer)
      clearInterval(sweep)
      resolve()
    })
    server.closeIdleConnections()
  })
}
