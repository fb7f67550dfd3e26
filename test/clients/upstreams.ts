import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import { Secret } from '../../src/secret.ts'
import {
  craftArtifact,
  craftDockerList,
  craftIndex,
  craftLayers,
  craftSingle,
  craftZstd,
} from '../helpers/crafted-image.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { type DockerRegistry, startDockerRegistry } from '../helpers/docker-registry.ts'
import { type Algorithm, startJwtServer } from '../helpers/jwt-server.ts'
import { type PushTarget, pushCrafted } from '../helpers/push-crafted.ts'
import type { Node } from './puller.ts'

export const login = { username: 'ci', password: 'the password of the registries' }

/** A real registry with its images, and how the daemon is told of it. */
export type Upstream = {
  host: string
  target: PushTarget
  entry: object
  /** Tag → the digest that the registry itself answered to its push. */
  digests: Map<string, string>
  close: () => Promise<void>
}

export const imageNames = ['single', 'sixty-layers', 'index', 'docker-list', 'zstd', 'artifact'] as const
export type ImageName = (typeof imageNames)[number]

export async function startHtpasswdRegistry(
  host: string,
  program: 'docker-registry' | 'distribution',
): Promise<Upstream> {
  const registry = await startDockerRegistry({ login, program, names: [nameOf(host)] })
  const basic = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
  return upstreamOf(
    host,
    registry,
    [registry.ca?.cert ?? ''],
    () => basic,
    {},
    async () => {},
  )
}

/** A registry that sends for tokens to a server on another origin, under another authority. */
export async function startTokenRegistry(host: string, algorithm: Algorithm): Promise<Upstream> {
  const server = await startJwtServer({ login, algorithm })
  const registry = await startDockerRegistry({ tokens: server, names: [nameOf(host)] })
  const bearer = (repository: string) => `Bearer ${server.mint(repository, ['pull', 'push'])}`
  const more = { realms: [server.origin.origin], allowAddresses: ['127.0.0.0/8'] }
  return upstreamOf(host, registry, [registry.ca?.cert ?? '', server.ca.cert], bearer, more, server.close)
}

async function upstreamOf(
  host: string,
  registry: DockerRegistry,
  trusted: string[],
  authorization: PushTarget['authorization'],
  more: object,
  closeToo: () => Promise<void>,
): Promise<Upstream> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-upstream-'))
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, trusted.join('\n'))
  return {
    host,
    target: { origin: registry.origin, ca: registry.ca?.cert ?? '', authorization },
    entry: { host, upstream: registry.origin, serverName: nameOf(host), caFile, credential: 'required', ...more },
    digests: new Map(),
    close: async () => {
      await registry.stop()
      await closeToo()
      await rm(folder, { recursive: true })
    },
  }
}

/** Each registry's images have content of their own, so that no client has a blob of them already. */
export async function pushImages(upstream: Upstream, names: readonly ImageName[]): Promise<void> {
  const single = craftSingle(`single of ${upstream.host}`)
  const crafted = {
    single: () => single,
    'sixty-layers': () => craftLayers(`sixty of ${upstream.host}`, 60),
    index: () => craftIndex(`index of ${upstream.host}`),
    'docker-list': () => craftDockerList(`list of ${upstream.host}`),
    zstd: () => craftZstd(`zstd of ${upstream.host}`),
    artifact: () => craftArtifact(`artifact of ${upstream.host}`, single.manifests[0] ?? fail()),
  }
  for (const name of names) {
    const image = crafted[name]()
    const manifests = image.manifests.map((one) => (one.tag === image.tag ? { ...one, tag: name } : one))
    upstream.digests.set(name, await pushCrafted(upstream.target, 'team/app', { ...image, manifests }))
  }
}

/** A daemon with a login at each registry, and what the clients of its node are set up with. */
export async function startNode(upstreams: Upstream[]): Promise<{ daemon: Daemon; node: Node }> {
  const daemon = await startDaemon({ registries: upstreams.map(({ entry }) => entry) })
  for (const { host } of upstreams) await logIn(daemon, host, login, '--no-verify')
  const setting = await loadConfig(daemon.configFile)
  return { daemon, node: { setting, token: new Secret(daemon.callerToken) } }
}

function nameOf(host: string): string {
  return host.split(':')[0] ?? ''
}

function fail(): never {
  throw new Error('an image without a manifest')
}
