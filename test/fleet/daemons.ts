import type { TestContext } from 'node:test'
import { type Daemon, type RestAnswer, startDaemon } from '../helpers/daemon.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { type KubeApiserver, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { ask } from '../helpers/proxy.ts'

export const NAME = 'registry.corp.example'
export const PASSWORD = 'the-password'
export const SYSTEM = 'regcredd-system'
const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`

export type Node = Daemon & {
  /** Status of a pull. */
  pull(): Promise<number>
  login(password?: string): Promise<number>
  /** Begins a rotation and waits for its end. */
  rotate(password: string): Promise<RestAnswer>
}

/** One registry, one cluster, and daemons that are its nodes. */
export async function startFleetOfDaemons(
  t: TestContext,
  names: string[],
  options: { kubernetes?: object; fleet?: object; api?: KubeApiserver } = {},
): Promise<{ api: KubeApiserver; registry: FakeRegistry; nodes: Node[] }> {
  const api = options.api ?? (await startKubeApiserver())
  if (options.api === undefined) t.after(() => api.close())
  await api.kubectl(['create', 'namespace', SYSTEM])
  const registry = await startFakeRegistry({ auth: 'bearer', password: PASSWORD })
  t.after(() => registry.close())
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const nodes = await Promise.all(
    names.map(async (name) => {
      const daemon = await startDaemon({
        registries: [{ host: NAME, upstream: registry.origin.origin, credential: 'required' }],
        config: {
          kubernetes: {
            kubeconfig: await api.kubeconfig('admin'),
            ...options.kubernetes,
            fleet: { node: name, leaseSeconds: 3, heartbeatSeconds: 1, ...options.fleet },
          },
        },
      })
      t.after(() => daemon.close())
      return nodeOf(daemon)
    }),
  )
  return { api, registry, nodes }
}

function nodeOf(daemon: Daemon): Node {
  return Object.assign(daemon, {
    pull: async () => {
      const headers = { 'regcredd-token': daemon.callerToken }
      return (await ask(daemon.port(), MANIFEST, { headers })).status
    },
    login: async (password = PASSWORD) => {
      const outcome = await daemon.cli(['login', NAME, '--username', 'ci', '--password-stdin'], { stdin: password })
      return outcome.code ?? -1
    },
    rotate: (password: string) =>
      daemon.rest('POST', `/v1/registries/${NAME}/rotations`, { password }, { prefer: 'wait=120' }),
  })
}
