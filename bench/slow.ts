import { execFile } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../test/helpers/free-port.ts'
import { memoryBytes } from '../test/helpers/process-memory.ts'
import { makeCa } from '../test/helpers/tls.ts'
import { startLightRegistry } from './light-registry.ts'
import type { Measure } from './measure.ts'
import { proxyServer, startNginx } from './nginx.ts'
import { startWithLogin, type Target } from './rig.ts'

const run = promisify(execFile)
const BLOB_BYTES = 2 ** 30
const NAME = 'slow.bench.example'
const LOGIN = { username: 'bench', password: 'of the bench only' }
const LOOK_EVERY_MS = 50

export type SlowRig = { regcredd: Target; nginx: Target; blobPath: string; [Symbol.asyncDispose](): Promise<void> }

/** A blob of 1 GiB (of zeros, which take no room on the disk) at a light registry, and a daemon and an nginx that have served nothing else. */
export async function startSlowRig(folder: string, main: string, readers: number): Promise<SlowRig> {
  await using stack = new AsyncDisposableStack()
  const ca = await makeCa(folder)
  const blobPath = `/v2/team/app/blobs/sha256:${'0'.repeat(64)}`
  const light = await startLightRegistry(join(folder, 'slow-light'), LOGIN, ca, [blobPath], async (_path, name) => {
    await using file = await open(name, 'w')
    await file.truncate(BLOB_BYTES)
  })
  stack.defer(() => light.stop())
  const port = await freePort()
  const authorization = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`
  const proxy = proxyServer({ port, upstreamPort: light.port, authorization, caFile: ca.certFile })
  const nginx = await startNginx(join(folder, 'slow-nginx'), proxy)
  stack.defer(() => nginx.stop())
  // A thousand handshakes at once take this machine's two cores seconds.
  const limits = { maxConnections: readers + 100, connectTimeoutMs: 30_000 }
  const entry = { host: NAME, upstream: `https://127.0.0.1:${light.port}`, caFile: ca.certFile, limits }
  const daemon = await startWithLogin(main, [entry], LOGIN)
  stack.defer(() => daemon.close())
  const held = stack.move()
  return {
    regcredd: {
      ...{ origin: `http://${daemon.proxy}`, query: `?ns=${NAME}`, pid: daemon.pid },
      headers: { 'regcredd-token': daemon.callerToken },
    },
    nginx: { origin: `http://127.0.0.1:${port}`, query: '', headers: {}, pid: nginx.pid },
    blobPath,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** So many slow readers at once: the most memory that the proxy held (MB), and when the last reader had its first byte (ms). */
export function slowMeasures({ regcredd, nginx, blobPath }: SlowRig, readers: number, seconds: number): Measure[] {
  return Object.entries({ regcredd, nginx }).map(([name, target]) => ({
    label: `slow readers, ${name}`,
    sample: async () => {
      const { served, lastMs, mostMegabytes } = await readBy(target)
      // nginx loses one now and then on a busy machine; its time is then the limit.
      if (name === 'regcredd' && served < readers)
        throw new Error(`${name}: only ${served} of ${readers} readers got a first byte`)
      return { [`slow memory, ${name}`]: mostMegabytes, [`slow first byte, ${name}`]: lastMs }
    },
  }))

  async function readBy({ origin, query, headers, pid = 0 }: Target) {
    const running = run(process.execPath, [join(import.meta.dirname, 'slow-client.ts')], { timeout: 60_000 })
    const ask = { origin, path: `${blobPath}${query}`, headers, readers, seconds }
    running.child.stdin?.end(JSON.stringify(ask))
    let mostMegabytes = 0
    const watch = setInterval(async () => {
      mostMegabytes = Math.max(mostMegabytes, (await memoryBytes(pid, 'VmRSS')) / 1e6)
    }, LOOK_EVERY_MS)
    try {
      const { stdout } = await running
      const told = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as { served: number; lastMs: number }
      return { ...told, mostMegabytes }
    } finally {
      clearInterval(watch)
    }
  }
}
