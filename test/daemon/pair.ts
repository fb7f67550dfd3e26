import type { IncomingMessage } from 'node:http'
import { Agent, request as httpRequest } from 'node:http'
import type { TestContext } from 'node:test'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { freePort } from '../helpers/free-port.ts'

export const NAME = 'registry.corp.example'
export const PASSWORD = 'the-password'
const PIECE = Buffer.alloc(50_000, 'x')

/** A registry with one image and a daemon that has its credential. */
export async function startPair(
  t: TestContext,
  options: { config?: Record<string, unknown>; wrap?: string[]; env?: NodeJS.ProcessEnv; login?: 'no' } = {},
): Promise<{ registry: FakeRegistry; daemon: Daemon; port: () => number; manifest: string; token: () => object }> {
  // Its port is one that another registry finds free when this one is gone.
  const registry = await startFakeRegistry({ auth: 'bearer', password: PASSWORD, port: await freePort() })
  t.after(() => registry.close())
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const daemon = await startDaemon({
    registries: [{ host: NAME, upstream: registry.origin.origin, credential: 'required' }],
    config: options.config ?? {},
    env: options.env ?? {},
    wrap: options.wrap ?? [],
  })
  t.after(() => daemon.close())
  if (options.login !== 'no') await logIn(daemon, NAME, { password: PASSWORD })
  return {
    registry,
    daemon,
    port: daemon.port,
    manifest: `/v2/team/app/manifests/1?ns=${NAME}`,
    token: () => ({ headers: { 'regcredd-token': daemon.callerToken } }),
  }
}

export function login(daemon: Daemon, password = PASSWORD, ...more: string[]) {
  return daemon.cli(['login', NAME, '--username', 'ci', '--password-stdin', ...more], { stdin: password })
}

/** Has the registry send one piece of a blob and wait; `release` sends the other one, `cut` ends the connection. */
export function slowBlob(registry: FakeRegistry) {
  const blob = registry.addBlob(Buffer.concat([PIECE, PIECE]))
  const state = { begun: false, closed: false, release: () => {}, cut: () => {} }
  registry.script = (request, response) => {
    if (!request.url?.includes('/blobs/') || !request.headers.authorization?.startsWith('Bearer')) return false
    response.writeHead(200, { 'content-length': 2 * PIECE.length })
    response.write(PIECE)
    response.on('close', () => (state.closed = true))
    state.release = () => void response.end(PIECE)
    state.cut = () => void response.destroy()
    state.begun = true
    return true
  }
  return { path: `/v2/team/app/blobs/${blob}?ns=${NAME}`, sizeBytes: 2 * PIECE.length, state }
}

/** A pull as containerd makes it, on a connection that it would like to keep; resolves when the whole first piece of `slowBlob` is there. */
export async function beginPull(daemon: Daemon, path: string) {
  const agent = new Agent({ keepAlive: true })
  const request = httpRequest(`http://${daemon.proxy}${path}`, {
    agent,
    headers: { 'regcredd-token': daemon.callerToken },
  })
  request.end()
  const state = { bytes: 0, ended: false, cut: false }
  request.on('error', () => (state.cut = true))
  request.on('response', (answer: IncomingMessage) => {
    answer.on('data', (piece: Buffer) => (state.bytes += piece.length))
    answer.on('end', () => (state.ended = true))
    answer.on('error', () => (state.cut = true))
  })
  await eventually('the first piece of the blob', () => state.bytes >= PIECE.length)
  return { state, leave: () => request.destroy(), close: () => agent.destroy() }
}
