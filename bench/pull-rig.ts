import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CraftedImage, craftLarge, craftLayers, craftSingle } from '../test/helpers/crafted-image.ts'
import type { Daemon } from '../test/helpers/daemon.ts'
import { startWithLogin } from './rig.ts'
import { startTokenRegistry, type TokenRegistry } from './token-registry.ts'

/** One client's way to an image: the reference, and the folder with its credential. */
export type Way = { ref: string; dockerConfig: string; caFile: string }

export type PullRig = {
  folder: string
  daemon: Daemon
  /** By distance and image: directly with its own credential, and by the daemon. */
  ways: { distance: 'near' | 'far'; image: Image; direct: Way; regcredd: Way }[]
  near: TokenRegistry
  nearName: string
  [Symbol.asyncDispose](): Promise<void>
}

type Image = 'large' | 'layers'

const ROUND_TRIP_MS = 50
const NAMES = { near: 'near.bench.example', far: 'far.bench.example' }

/** Two registries with tokens, one of them and its token server a round trip away, each with a large image and one of 60 layers. */
export async function startPullRig(
  folder: string,
  { main, largeBytes, bursts }: { main: string; largeBytes: number; bursts: number },
): Promise<PullRig> {
  await using stack = new AsyncDisposableStack()
  const login = { username: 'bench', password: 'of the bench only' }
  const near = await startTokenRegistry(folder, login, 0)
  stack.defer(() => near.stop())
  const far = await startTokenRegistry(folder, login, ROUND_TRIP_MS)
  stack.defer(() => far.stop())
  const images: Record<Image, CraftedImage> = {
    large: craftLarge('1', largeBytes),
    layers: craftLayers('1', 60),
  }
  for (const registry of [near, far]) {
    for (const [name, image] of Object.entries(images)) await registry.push(`team/${name}`, image)
  }
  for (let burst = 0; burst < bursts; burst += 1) await near.push(`team/burst${burst}`, craftSingle('1'))

  const daemon = await startWithLogin(main, [near.entry(NAMES.near), far.entry(NAMES.far)], login)
  stack.defer(() => daemon.close())
  const ofDaemon = await dockerConfig(folder, 'daemon', daemon.proxy, {
    username: 'node',
    password: daemon.callerToken,
  })
  const ways: PullRig['ways'] = []
  for (const [distance, registry] of Object.entries({ near, far }) as ['near' | 'far', TokenRegistry][]) {
    const own = await dockerConfig(folder, distance, registry.host, login)
    const { caFile } = registry
    for (const image of ['large', 'layers'] as const) {
      const direct = { ref: `${registry.host}/team/${image}:1`, dockerConfig: own, caFile }
      const ref = `${daemon.proxy}/${NAMES[distance]}/team/${image}:1`
      ways.push({ distance, image, direct, regcredd: { ref, dockerConfig: ofDaemon, caFile } })
    }
  }
  const held = stack.move()
  return {
    ...{ folder, daemon, ways, near, nearName: NAMES.near },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

async function dockerConfig(
  folder: string,
  name: string,
  host: string,
  { username, password }: { username: string; password: string },
): Promise<string> {
  const path = join(folder, `docker-${name}`)
  await mkdir(path, { mode: 0o700 })
  const auth = Buffer.from(`${username}:${password}`).toString('base64')
  await writeFile(join(path, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }), { mode: 0o600 })
  return path
}
