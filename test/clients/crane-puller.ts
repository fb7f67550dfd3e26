import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { proxyHost } from '../../src/install/client-plan.ts'
import { locationOf } from '../../src/install/registries-conf.ts'
import { mustRun, type Node, newFolder, type Puller, type PullerKind, placeFiles } from './puller.ts'

/** crane knows no mirrors: the daemon's address and the registry's name stand in the reference itself. */
export const cranePuller: PullerKind = { name: 'crane', tools: ['crane'], user: 'any', start: startCrane }

async function startCrane(node: Node): Promise<Puller> {
  const { folder, remove } = await newFolder()
  const env = { DOCKER_CONFIG: await dockerConfigIn(folder, node) }
  const layout = join(folder, 'layout')
  return {
    async pull(ref) {
      await rm(layout, { recursive: true, force: true })
      await mustRun('crane', ['pull', '--format', 'oci', craneRef(ref, node), layout], env)
      const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'))
      return index.manifests.map(({ digest }: { digest: string }) => digest)
    },
    close: remove,
  }
}

export function craneRef(ref: string, { setting }: Node): string {
  return locationOf(ref, proxyHost(setting))
}

/** docker's configuration has the form of the auth file of the containers tools. */
export async function dockerConfigIn(folder: string, node: Node): Promise<string> {
  const at = await placeFiles('podman', node, folder)
  const docker = join(folder, 'docker')
  await mkdir(docker)
  const auths = await readFile(at('/root/.config/containers/auth.json'))
  await writeFile(join(docker, 'config.json'), auths, { mode: 0o600 })
  return docker
}
