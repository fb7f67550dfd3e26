import { join } from 'node:path'
import { type ContainerdProgram, startContainerd } from '../helpers/containerd.ts'
import { mustRun, type Node, newFolder, type Puller, type PullerKind, placeFiles } from './puller.ts'

const CERTS_DIR = '/etc/containerd/certs.d'

/** As the kubelet pulls. */
export function criPuller(name: string, program: ContainerdProgram): PullerKind {
  return { name, tools: [program, 'runc'], user: 'root', start: (node) => startCri(node, program) }
}

/** ctr of 1.x resolves by itself; that of 2.x leaves it to the transfer service of the daemon unless `--local` is given. */
export function ctrPuller(name: string, program: ContainerdProgram, ctr: string, flags: string[] = []): PullerKind {
  return { name, tools: [program, ctr, 'runc'], user: 'root', start: (node) => startCtr(node, program, ctr, flags) }
}

async function startCri(node: Node, program: ContainerdProgram): Promise<Puller> {
  const { folder, remove } = await newFolder()
  const at = await placeFiles('containerd', node, folder)
  const containerd = await startContainerd({ program, certsDir: at(CERTS_DIR) })
  return {
    async pull(ref) {
      if ((await containerd.cri.imageStatus(ref)) !== undefined) await containerd.forget(ref)
      await containerd.cri.pullImage(ref)
      const image = await containerd.cri.imageStatus(ref)
      return image?.repoDigests.map((one) => one.split('@')[1] ?? '') ?? []
    },
    async close() {
      await containerd.stop()
      await remove()
    },
  }
}

async function startCtr(node: Node, program: ContainerdProgram, ctr: string, flags: string[]): Promise<Puller> {
  const { folder, remove } = await newFolder()
  const at = await placeFiles('containerd', node, folder)
  const containerd = await startContainerd({ program, certsDir: join(folder, 'none') })
  const images = ['--address', containerd.socketPath, 'images']
  return {
    async pull(ref) {
      await mustRun(ctr, [...images, 'pull', ...flags, '--snapshotter', 'native', '--hosts-dir', at(CERTS_DIR), ref])
      const listed = await mustRun(ctr, [...images, 'ls', `name==${ref}`])
      return listed.match(/sha256:[0-9a-f]{64}/g) ?? []
    },
    async close() {
      await containerd.stop()
      await remove()
    },
  }
}
