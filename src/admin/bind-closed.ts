import type { Server } from 'node:net'

/**
 * Listens on a unix socket that is born with mode 0600, whatever the umask of the process: a mode set afterwards would come too late
 * for whoever connects in between. Node binds a path before `listen` returns, so no other work sees the changed umask.
 */
export function bindClosed(server: Server, socket: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const umask = process.umask(0o177)
    try {
      server.listen({ path: socket }, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(umask)
    }
  })
}
