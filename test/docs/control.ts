import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Daemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'

/** What the documents take for granted in the environment. */
export const words = { PASSWORD: 'first password', NEW: 'second password', WRONG: 'a wrong password' }

/** Does what the sandbox's commands cannot do by themselves: what systemd, or somebody at the registry, would do. */
export async function startControl(parts: { daemon: Daemon; registry: FakeRegistry; top: string }): Promise<Server> {
  const acts: Record<string, (body: string) => Promise<void>> = {
    '/old-password': async () => {
      parts.registry.setPassword(words.PASSWORD)
      await rotationsEnded(parts.daemon)
    },
    '/third-password': async () => parts.registry.setPassword('a third password'),
    '/staged-password': async () => parts.registry.setPassword(words.NEW),
    '/systemctl': (args) => systemctl(parts, args),
    '/config': (body) => configure(parts, JSON.parse(body)),
    '/password': async () => {
      parts.registry.setPassword(words.NEW)
      await rotationsEnded(parts.daemon)
    },
  }
  const server = createServer(async (request, response) => {
    try {
      await acts[request.url ?? '']?.(await text(request))
      response.end()
    } catch (thrown) {
      response.writeHead(500).end(String(thrown))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function rotationsEnded(daemon: Daemon): Promise<void> {
  await eventually(
    'the rotation ends',
    async () => {
      const { body } = await daemon.rest('GET', '/v1/rotations')
      return body.rotations.every(({ state }: { state: string }) => ['GRACE', 'RETIRED', 'ABORTED'].includes(state))
    },
    60_000,
  )
}

async function systemctl({ daemon, top }: { daemon: Daemon; top: string }, args: string): Promise<void> {
  if (args === 'enable --now regcredd' || args === 'restart regcredd') {
    const changed = await readFile(daemon.configFile)
    await daemon.stop()
    await writeFile(daemon.configFile, changed)
    // As LoadCredential= does.
    if (args.startsWith('enable'))
      await copyFile(join(top, 'etc/regcredd/keychain.key'), join(daemon.folder, 'keychain.key'))
    await daemon.start()
    // The start has put its own there.
    await writeFile(daemon.configFile, changed)
    await eventually('the mirror', async () => !(await daemon.rest('GET', '/v1/mirror')).body.stale, 60_000)
    return
  }
  if (args === 'stop regcredd') return daemon.stop()
  if (args === 'start regcredd') return daemon.start()
  if (args !== 'kill --kill-who=main --signal=HUP regcredd.service') throw new Error(`systemctl ${args}`)
  process.kill(daemon.pid, 'SIGHUP')
  await eventually('the audit file is there again', async () => (await daemon.audit().catch(() => [])).length > 0)
}

/** Puts a document's registries and cluster into the daemon's configuration; paths, ports and the registry's address stay the sandbox's. */
async function configure(
  { daemon, registry, top }: { daemon: Daemon; registry: FakeRegistry; top: string },
  fragment: {
    registries?: Record<string, unknown>[]
    proxy?: Record<string, unknown>
    kubernetes?: Record<string, unknown>
    admin?: Record<string, unknown>
  },
): Promise<void> {
  const file = JSON.parse(await readFile(daemon.configFile, 'utf8'))
  if (fragment.registries !== undefined) {
    file.registries = fragment.registries.map(({ caFile, ...entry }) => ({
      ...entry,
      upstream: registry.origin.origin,
    }))
  }
  Object.assign(file.proxy, fragment.proxy)
  const kubernetesAuth = fragment.admin?.['kubernetesAuth']
  if (kubernetesAuth !== undefined) Object.assign(file.admin, { kubernetesAuth })
  if (fragment.kubernetes !== undefined) {
    const { kubeconfig } = fragment.kubernetes
    const isPlaced = typeof kubeconfig === 'string' && kubeconfig.startsWith(daemon.folder)
    file.kubernetes = {
      ...fragment.kubernetes,
      kubeconfig: isPlaced ? kubeconfig : join(top, 'etc/regcredd/kubeconfig'),
    }
  }
  await writeFile(daemon.configFile, JSON.stringify(file))
}
