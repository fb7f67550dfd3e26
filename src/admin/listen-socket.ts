import { chmod, chown, lstat, mkdir, stat, unlink } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { closeServer } from '../close-server.ts'
import { errnoOf, RegcreddError } from '../errors.ts'
import { bindClosed } from './bind-closed.ts'
import { findGroupId } from './group.ts'

/** sizeof(sockaddr_un.sun_path) less the closing NUL (unix(7)). */
const MAX_PATH_BYTES = 107
const DRAIN_TIMEOUT_MS = 5_000

export type AdminListener = {
  /** Removes the socket and takes no more requests; those under way get so long to end (default 5 s). */
  close(drainTimeoutMs?: number): Promise<void>
}

/**
 * Listens on a unix socket that nobody but its owner can open until its group and mode are set. A socket that a dead daemon left is
 * removed, one that somebody answers on is not; a missing folder is made with mode 0750. Throws LISTEN_FAILED.
 */
export async function listenAdmin(
  app: RequestListener,
  where: { socket: string; mode: number; group: string | undefined },
): Promise<AdminListener> {
  const { socket, mode, group } = where
  if (Buffer.byteLength(socket) > MAX_PATH_BYTES) {
    throw new RegcreddError('LISTEN_FAILED', `${socket} is longer than the ${MAX_PATH_BYTES} bytes a socket may have`)
  }
  const groupId = group === undefined ? undefined : await findGroupId(group)
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 16_384 }, app)
  try {
    await makeFolder(dirname(socket), groupId)
    await removeStale(socket)
    await bindClosed(server, socket)
    await giveTo(socket, groupId)
    await chmod(socket, mode)
  } catch (thrown) {
    server.close()
    throw thrown instanceof RegcreddError ? thrown : listenFailed(socket, groupId, thrown)
  }
  return { close: (drainTimeoutMs = DRAIN_TIMEOUT_MS) => closeServer(server, drainTimeoutMs) }
}

async function makeFolder(folder: string, groupId: number | undefined): Promise<void> {
  if ((await mkdir(folder, { recursive: true, mode: 0o750 })) === undefined) return
  // Whatever the umask: the group comes through here to the socket.
  await chmod(folder, 0o750)
  await giveTo(folder, groupId)
}

/** Where the group has it already, as where it is the daemon's own, nothing is done: the unit's sandbox knows no chown. */
async function giveTo(path: string, groupId: number | undefined): Promise<void> {
  if (groupId !== undefined && (await stat(path)).gid !== groupId) await chown(path, -1, groupId)
}

async function removeStale(socket: string): Promise<void> {
  const found = await lstat(socket).catch((thrown: unknown) => {
    if (errnoOf(thrown) === 'ENOENT') return undefined
    throw thrown
  })
  if (found === undefined) return
  if (!found.isSocket()) throw new RegcreddError('LISTEN_FAILED', `${socket} is there and is no socket`)
  const fault = await new Promise<unknown>((resolve) => {
    const probe = connect(socket)
    probe.once('connect', () => {
      probe.destroy()
      resolve(undefined)
    })
    probe.once('error', resolve)
  })
  if (fault === undefined) throw new RegcreddError('LISTEN_FAILED', `another daemon answers on ${socket}`)
  // Only a refused connection says that nobody listens; EAGAIN, for one, is said by a daemon that is busy.
  if (errnoOf(fault) !== 'ECONNREFUSED') throw fault
  await unlink(socket)
}

function listenFailed(socket: string, groupId: number | undefined, cause: unknown): RegcreddError {
  const code = errnoOf(cause) ?? 'unknown'
  const remedies: Record<string, string> = {
    EACCES: `let the user of the daemon (uid ${process.geteuid?.()}) write in its folder, or change admin.socket`,
    EPERM: `the daemon may not give it to group ${groupId}: let it be in that group (and let the unit chown), or change admin.group`,
    EROFS: 'the file system is read-only; change admin.socket',
    ENOTDIR: 'a part of that path is a file; change admin.socket',
  }
  return new RegcreddError('LISTEN_FAILED', `${socket}: ${code}: ${remedies[code] ?? 'see the log'}`, { cause })
}
