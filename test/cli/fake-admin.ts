/**
 * Plays the admin API of the daemon on a real unix socket. It is a fake, so that a test can make the daemon answer what the real one
 * seldom does (a code of a later version, a restart in mid-rotation, a stranger's control characters); the real one meets this same
 * command line where a whole daemon runs.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Seen = { method: string; path: string; headers: IncomingHttpHeaders; body: unknown }
/** `hangUp`: the connection ends without an answer, as when the daemon is restarted. */
export type Reply = { status?: number; body?: unknown; text?: string; type?: string; hangUp?: true }
export type Routes = Record<string, (seen: Seen) => Reply>

export type FakeAdmin = { socket: string; folder: string; seen: Seen[]; routes: Routes; close(): Promise<void> }

export const problem = (status: number, code: string, title: string, detail?: string): Reply => ({
  status,
  body: { type: `https://regcredd.example/errors#${code}`, title, status, detail, code },
})

/** `routes` are keyed by method and path with its query, and may be changed while it runs. */
export async function startFakeAdmin(routes: Routes = {}): Promise<FakeAdmin> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-cli-'))
  const socket = join(folder, 'admin.sock')
  const admin: FakeAdmin = { socket, folder, seen: [], routes, close }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const { method = '', url: path = '', headers } = request
    const seen: Seen = { method, path, headers, body: text === '' ? undefined : JSON.parse(text) }
    admin.seen.push(seen)
    const reply = admin.routes[`${method} ${path}`]?.(seen) ?? problem(404, 'NOT_FOUND', 'there is no such resource')
    if (reply.hangUp) return void request.socket.destroy()
    const status = reply.status ?? 200
    const usual = status < 400 ? 'application/json' : 'application/problem+json'
    response.writeHead(status, { 'content-type': reply.type ?? usual })
    response.end(reply.text ?? (reply.body === undefined ? undefined : JSON.stringify(reply.body)))
  })
  server.listen(socket)
  await once(server, 'listening')

  async function close(): Promise<void> {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
    await rm(folder, { recursive: true })
  }
  return admin
}
