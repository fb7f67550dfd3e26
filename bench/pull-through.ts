import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Login } from '../test/helpers/docker-registry.ts'
import { startServer } from '../test/helpers/server-process.ts'
import { needTool } from '../test/helpers/tools.ts'

export type PullThrough = { pid: number; origin: string; stop: () => Promise<void> }

/** distribution as a pull-through cache of another registry, with that one's credential and its own disk. */
export async function startPullThrough(
  folder: string,
  { remote, caFile, login }: { remote: string; caFile: string; login: Login },
): Promise<PullThrough> {
  await mkdir(join(folder, 'data'), { recursive: true })
  const config = {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: '127.0.0.1:0' },
    proxy: { remoteurl: remote, ...login },
  }
  const file = join(folder, 'config.yml') // JSON is YAML
  await writeFile(file, JSON.stringify(config), { mode: 0o600 })
  const server = await startServer({
    tool: needTool('distribution'),
    args: ['serve', file],
    // Without the first it looks for a collector of traces; by the second it trusts the registry.
    env: { OTEL_TRACES_EXPORTER: 'none', SSL_CERT_FILE: caFile },
    ready: /listening on 127\.0\.0\.1:(\d+)/,
  })
  return { pid: server.pid, origin: `http://127.0.0.1:${server.ready[1]}`, stop: server.stop }
}
