import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun, type Node, newFolder, type Puller, type PullerKind, placeFiles } from './puller.ts'

const REGISTRIES_CONF = '/etc/containers/registries.conf.d/regcredd.conf'
const AUTH_FILE = '/root/.config/containers/auth.json'

export const skopeoPuller: PullerKind = { name: 'skopeo', tools: ['skopeo'], user: 'any', start: startSkopeo }
export const podmanPuller: PullerKind = {
  name: 'podman',
  tools: ['podman'],
  user: 'root',
  start: (node) => startStoring(node, 'podman'),
}
export const buildahPuller: PullerKind = {
  name: 'buildah',
  tools: ['buildah'],
  user: 'root',
  start: (node) => startStoring(node, 'buildah'),
}

/** Copies the whole index, each of its images included. */
async function startSkopeo(node: Node): Promise<Puller> {
  const { folder, policy, auth, registries, env, remove } = await prepare('skopeo', node)
  const target = join(folder, 'copy')
  return {
    async pull(ref) {
      await rm(target, { recursive: true, force: true })
      const flags = ['--policy', policy, '--registries-conf', registries, 'copy', '--all', '--quiet']
      await mustRun('skopeo', [...flags, ...auth, `docker://${ref}`, `dir:${target}`], env)
      const manifest = await readFile(join(target, 'manifest.json'))
      return [`sha256:${createHash('sha256').update(manifest).digest('hex')}`]
    },
    close: remove,
  }
}

/** podman and buildah, with a store of their own. */
async function startStoring(node: Node, tool: 'podman' | 'buildah'): Promise<Puller> {
  const { folder, policy, auth, registries, env, remove } = await prepare(tool, node)
  const store = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs']
  return {
    async pull(ref) {
      // Otherwise buildah is content with what it has.
      const always = tool === 'buildah' ? ['--policy', 'always'] : []
      const flags = ['--quiet', ...always, ...auth, '--signature-policy', policy]
      const conf = { ...env, CONTAINERS_REGISTRIES_CONF: registries }
      await mustRun(tool, [...store, 'pull', ...flags, ref], conf)
      const json = tool === 'podman' ? ['--format', 'json'] : ['--json']
      const listed = await mustRun(tool, [...store, 'images', '--digests', ...json], conf)
      return digestsOf(listed, ref)
    },
    close: remove,
  }
}

/** An index's digest beside that of the image taken out of it. */
function digestsOf(listed: string, ref: string): string[] {
  return listed.match(/sha256:[0-9a-f]{64}/g) ?? [`${ref} is not in ${listed}`]
}

async function prepare(client: 'podman' | 'skopeo' | 'buildah', node: Node) {
  const { folder, remove } = await newFolder()
  const at = await placeFiles(client === 'skopeo' ? 'skopeo' : 'podman', node, folder)
  const policy = join(folder, 'policy.json')
  await writeFile(policy, '{"default":[{"type":"insecureAcceptAnything"}]}')
  // Beside /etc/containers/certs.d they look there, which a test can have for itself.
  const config = join(folder, 'home/.config/containers')
  await mkdir(config, { recursive: true })
  await symlink(at('/etc/containers/certs.d'), join(config, 'certs.d'))
  const containersConf = join(folder, 'containers.conf')
  await writeFile(containersConf, '[engine]\nevents_logger = "none"\ncgroup_manager = "cgroupfs"\n')
  const auth = existsSync(at(AUTH_FILE)) ? ['--authfile', at(AUTH_FILE)] : []
  const env = { HOME: join(folder, 'home'), CONTAINERS_CONF: containersConf, TMPDIR: folder }
  return { folder, policy, auth, registries: at(REGISTRIES_CONF), env, remove }
}
