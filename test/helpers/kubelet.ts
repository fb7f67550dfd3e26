import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import type { KubeApiserver } from './kube-apiserver.ts'
import { startServer } from './server-process.ts'
import { needTool } from './tools.ts'

const run = promisify(execFile)

export type Kubelet = { node: string; log: () => string; stop: () => Promise<void> }

/**
 * Starts a real kubelet as node `node` of that API server, on the containerd at `socketPath`. It runs pods of the host's network only
 * (no CNI) and sets no limits, so that it wants nothing of the machine's cgroups but a folder for each container. Needs root.
 */
export async function startKubelet(
  api: KubeApiserver,
  { socketPath, node }: { socketPath: string; node: string },
): Promise<Kubelet> {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-kubelet-'))
  await mkdir(join(dir, 'volumes'))
  const root = join(dir, 'root')
  const configFile = join(dir, 'config.json')
  await writeFile(configFile, JSON.stringify(configuration(dir, socketPath, await freePort())))
  const server = await startServer({
    tool: needTool('kubelet'),
    args: [
      `--config=${configFile}`,
      `--kubeconfig=${await api.kubeconfig('admin')}`,
      `--root-dir=${root}`,
      `--cert-dir=${join(dir, 'pki')}`,
      `--hostname-override=${node}`,
    ],
    ready: /Successfully registered node/,
  })
  return {
    node,
    log: server.log,
    async stop() {
      await server.stop()
      // It mounts its folder onto itself, so that mounts of pods are shared, and leaves it so.
      await run('umount', ['--lazy', root])
      await rm(dir, { recursive: true, force: true })
      await removeCgroups()
    },
  }
}

/** What runc leaves of containers that had no cgroup parent: empty folders, one in each hierarchy. */
async function removeCgroups(): Promise<void> {
  for (const hierarchy of await readdir('/sys/fs/cgroup')) {
    await rmdir(join('/sys/fs/cgroup', hierarchy, 'k8s.io')).catch((error: NodeJS.ErrnoException) => {
      // Not there in every one, and in use where another containerd runs on this machine.
      if (!['ENOENT', 'ENOTDIR', 'EBUSY', 'ENOTEMPTY'].includes(error.code ?? '')) throw error
    })
  }
}

function configuration(dir: string, socketPath: string, port: number): object {
  return {
    kind: 'KubeletConfiguration',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    address: '127.0.0.1',
    port,
    healthzPort: 0,
    containerRuntimeEndpoint: `unix://${socketPath}`,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '0%', 'imagefs.available': '0%' },
    imageGCHighThresholdPercent: 100,
    podLogsDir: join(dir, 'logs'),
    volumePluginDir: join(dir, 'volumes'),
    resolvConf: '',
    nodeStatusUpdateFrequency: '1s',
    syncFrequency: '1s',
  }
}
