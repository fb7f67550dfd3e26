import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Cri, connectCri } from './cri.ts'
import { startServer } from './server-process.ts'
import { needTool, type Tool } from './tools.ts'

export type Containerd = {
  version: string
  socketPath: string
  /** `config_path`: read again at every pull. */
  certsDir: string
  cri: Cri
  /** The digests of all blobs in its content store. */
  storedBlobs: () => Promise<string[]>
  /** Removes an image with its content, so that the next pull fetches every byte; rejects if a blob of it stays. */
  forget: (ref: string) => Promise<void>
  /** The ids of all containers that run, sandboxes too; `stop` leaves those alone. */
  tasks: () => Promise<string[]>
  log: () => string
  stop: () => Promise<void>
}

export type ContainerdProgram = 'containerd' | 'containerd-1' | 'containerd-2'

export type ContainerdOptions = {
  certsDir?: string
  /** Debian's 1.6 (`containerd`), 1.7 or 2.x. */
  program?: ContainerdProgram
  /** What stands for `config_path`, where it is not `certsDir` alone. */
  configPath?: string
}

/** What the sandbox of a pod runs; a test that runs pods gives it by the registry's hosts.toml. */
const PAUSE_IMAGE = 'registry.k8s.io/pause:test'

const goneWithinMs = 30_000
const run = promisify(execFile)

/**
 * Starts a containerd of its own: root, state and socket in a temp folder, the CRI plugin on, `config_path` to `certsDir`
 * (default: an empty folder of its own). Needs root, since unpacking a layer mounts. Runs no containers, so needs no CNI.
 */
export async function startContainerd({
  certsDir,
  program = 'containerd',
  configPath,
}: ContainerdOptions = {}): Promise<Containerd> {
  const tool = needTool(program)
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-containerd-'))
  const certs = certsDir ?? join(dir, 'certs.d')
  await mkdir(certs, { recursive: true })
  const socketPath = join(dir, 'containerd.sock')
  const configFile = join(dir, 'config.toml')
  const configuration = program === 'containerd-2' ? configuration2 : configuration1
  await writeFile(configFile, configuration(dir, socketPath, configPath ?? certs))
  // It says so itself before the plugins serve; the first call waits for them.
  const server = await startServer({
    tool,
    args: ['--config', configFile],
    ready: /containerd successfully booted/,
    env: podEnv(tool),
  })
  const cri = connectCri(socketPath)
  const content = join(dir, 'root/io.containerd.content.v1.content/blobs/sha256')
  const storedBlobs = async () => (existsSync(content) ? (await readdir(content)).map((hex) => `sha256:${hex}`) : [])
  const taskDir = join(dir, 'state/io.containerd.runtime.v2.task/k8s.io')
  const tasks = async () => (existsSync(taskDir) ? readdir(taskDir) : [])
  const stop = async () => {
    cri.close()
    await server.stop()
    await unmountBelow(dir)
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const { runtimeVersion } = await cri.version()
    return {
      version: runtimeVersion,
      socketPath,
      certsDir: certs,
      cri,
      storedBlobs,
      forget,
      tasks,
      log: server.log,
      stop,
    }
  } catch (error) {
    await stop()
    throw new Error(`containerd does not answer on its CRI:\n${server.log().slice(-2000)}`, { cause: error })
  }

  async function forget(ref: string): Promise<void> {
    const blobs = await blobsOf(ref)
    await cri.removeImage(ref)
    const deadline = Date.now() + goneWithinMs
    for (;;) {
      const left = (await storedBlobs()).filter((digest) => blobs.has(digest))
      if (left.length === 0) return
      if (Date.now() > deadline) throw new Error(`blobs are left after ${ref} was removed: ${left}`)
      await sleep(20)
    }
  }

  /** An image's manifest, config and layers. */
  async function blobsOf(ref: string): Promise<Set<string>> {
    const image = await cri.imageStatus(ref)
    const manifestDigest = image?.repoDigests[0]?.split('@')[1]
    if (manifestDigest === undefined) throw new Error(`containerd has no ${ref}`)
    const manifest = await readFile(join(content, manifestDigest.replace('sha256:', '')), 'utf8')
    return new Set([manifestDigest, ...(manifest.match(/sha256:[0-9a-f]{64}/g) ?? [])])
  }
}

/** Where containerd looks for its shim and runc, should it run a pod: beside itself first, since a shim serves its own containerd. */
function podEnv({ command }: Tool): NodeJS.ProcessEnv {
  const { env } = needTool('runc')
  return { ...env, PATH: [dirname(command), env['PATH']].join(delimiter) }
}

export type HostsToml = {
  /** Where pulls go, and nowhere else: `http://127.0.0.1:5050`, or a registry's origin. */
  url: string
  caFile?: string
  headers?: Record<string, string>
}

/** Writes CERTS_DIR/HOST/hosts.toml. In this form containerd (1.6, 1.7, 2.x) asks `url` once and never the image's own host. */
export async function writeHostsToml(
  certsDir: string,
  host: string,
  { url, caFile, headers = {} }: HostsToml,
): Promise<void> {
  const lines = [
    `server = ${quote(url)}`,
    'capabilities = ["push"]',
    '',
    `[host.${quote(url)}]`,
    'capabilities = ["pull", "resolve"]',
  ]
  if (caFile !== undefined) lines.push(`ca = ${quote(caFile)}`)
  if (Object.keys(headers).length > 0) lines.push('', `[host.${quote(url)}.header]`)
  for (const [name, value] of Object.entries(headers)) lines.push(`${quote(name)} = [${quote(value)}]`)
  const dir = join(certsDir, host)
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'hosts.toml'), `${lines.join('\n')}\n`)
}

function configuration1(dir: string, socketPath: string, certsDir: string): string {
  return `version = 2
root = ${quote(join(dir, 'root'))}
state = ${quote(join(dir, 'state'))}
[grpc]
address = ${quote(socketPath)}
[ttrpc]
address = ${quote(`${socketPath}.ttrpc`)}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE_IMAGE}"
disable_apparmor = true
# Where the tests themselves may not be spared from the OOM killer, pods may not either.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = ${quote(join(dir, 'cni'))}
conf_dir = ${quote(join(dir, 'cni'))}
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = ${quote(certsDir)}
`
}

function configuration2(dir: string, socketPath: string, certsDir: string): string {
  return `version = 3
root = ${quote(join(dir, 'root'))}
state = ${quote(join(dir, 'state'))}
[grpc]
address = ${quote(socketPath)}
[ttrpc]
address = ${quote(`${socketPath}.ttrpc`)}
[plugins."io.containerd.cri.v1.images"]
snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "${PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = ${quote(certsDir)}
[plugins."io.containerd.cri.v1.runtime"]
disable_apparmor = true
# Where the tests themselves may not be spared from the OOM killer, pods may not either.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [${quote(join(dir, 'cni'))}]
conf_dir = ${quote(join(dir, 'cni'))}
# By default the transfer service unpacks for the overlay snapshotter alone, which does not work on every file system.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux/${process.arch === 'x64' ? 'amd64' : process.arch}"
snapshotter = "native"
`
}

function quote(text: string): string {
  return JSON.stringify(text)
}

/** containerd unmounts what it mounts, unless it was killed in between. */
async function unmountBelow(dir: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  for (const mount of mounts.filter((one) => one.startsWith(`${dir}/`)).reverse()) await run('umount', [mount])
}
