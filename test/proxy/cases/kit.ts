import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Registry } from '../../../src/config/config.ts'
import type { ProxyLimits } from '../../../src/proxy/listener.ts'
import { type FakeRegistry, type FakeRegistryOptions, startFakeRegistry } from '../../helpers/fake-registry.ts'
import { listed, startTestProxy, type TestProxy } from '../../helpers/proxy.ts'

export const NAME = 'registry.corp.example'
export const LOOPBACK = ['127.0.0.0/8', '::1']
export const BLOB = Buffer.alloc(300_000, 'regcredd')
export const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`

export const codeOf = (body: Buffer): string => JSON.parse(body.toString()).errors[0].detail.code
export const basic = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

export type Rig = { registry: FakeRegistry; proxy: TestProxy; blob: string; digest: string; blobPath: string }

/** A registry with one image, listed in a proxy that has its password. */
export async function start(
  t: TestContext,
  options: FakeRegistryOptions,
  more: Partial<Registry> = {},
  others: (registry: FakeRegistry) => Registry[] = () => [],
  limits?: ProxyLimits,
): Promise<Rig> {
  const registry = await startFakeRegistry({ password: 'right', ...options })
  const blob = registry.addBlob(BLOB)
  const digest = registry.addManifest('team/app', '1', { schemaVersion: 2, layers: [{ digest: blob }] })
  const proxy = await startTestProxy(
    [listed(NAME, registry.origin, { allowAddresses: LOOPBACK, ...more }), ...others(registry)],
    undefined,
    limits,
  )
  if (options.auth !== 'none') proxy.setCredential(NAME, { current: 'right' })
  t.after(async () => {
    await proxy.close(0)
    await registry.close()
  })
  return { registry, proxy, blob, digest, blobPath: `/v2/team/app/blobs/${blob}?ns=${NAME}` }
}

/** A server that reads a request's head and answers with bytes as they are, then closes unless they say keep-alive; `undefined` leaves the connection open in silence. */
export async function startRawServer(
  t: TestContext,
  answer: (head: string, ofConnection: number) => string | Buffer | undefined,
): Promise<{ origin: URL; heads: string[]; sockets: Set<Socket> }> {
  const heads: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let head = ''
    let ofConnection = 0
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.on('data', (piece) => {
      head += piece.toString('latin1')
      if (!head.includes('\r\n\r\n')) return
      heads.push(head)
      ofConnection += 1
      const bytes = answer(head, ofConnection)
      head = ''
      if (bytes !== undefined) socket.write(bytes)
      if (bytes !== undefined && !/^connection: keep-alive/im.test(bytes.toString('latin1'))) socket.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { origin: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), heads, sockets }
}

/** Sends bytes as they are and gives all that comes until the connection ends, or until `enough`. */
export async function raw(
  port: number,
  bytes: string | Buffer,
  enough: (answer: string) => boolean = () => false,
): Promise<{ answer: string; ended: 'closed' | 'reset' | 'open' }> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  let ended: 'closed' | 'reset' | 'open' = 'open'
  const done = new Promise<void>((resolve) => {
    socket.on('data', (piece) => {
      answer += piece.toString('latin1')
      if (enough(answer)) resolve()
    })
    socket.on('error', () => {
      ended = 'reset'
      resolve()
    })
    socket.on('end', () => {
      ended = 'closed'
      resolve()
    })
  })
  socket.write(bytes)
  await Promise.race([done, sleep(20_000, undefined, { ref: false })])
  socket.destroy()
  return { answer, ended }
}
