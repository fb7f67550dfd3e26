import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CraftedImage } from '../test/helpers/crafted-image.ts'
import { type Login, startDockerRegistry } from '../test/helpers/docker-registry.ts'
import { type JwtServer, startJwtServer } from '../test/helpers/jwt-server.ts'
import { type PushTarget, pushCrafted } from '../test/helpers/push-crafted.ts'
import { startDelayRelay } from './relay.ts'
import type { Registered } from './rig.ts'

/** A real registry with TLS that sends for tokens to a server on another origin, both perhaps a round trip away. */
export type TokenRegistry = {
  /** `127.0.0.1:PORT` */
  host: string
  /** How the daemon's configuration lists it under a name. */
  entry: (name: string) => Registered
  /** PEM file of both authorities. */
  caFile: string
  tokens: JwtServer
  push: (repository: string, image: CraftedImage) => Promise<string>
  stop: () => Promise<void>
}

export async function startTokenRegistry(folder: string, login: Login, roundTripMs: number): Promise<TokenRegistry> {
  await using stack = new AsyncDisposableStack()
  const tokens = await startJwtServer({ login, algorithm: 'ES256' })
  stack.defer(() => tokens.close())
  const reach = async (port: number) => {
    if (roundTripMs === 0) return port
    const relay = await startDelayRelay(roundTripMs, [port])
    stack.defer(() => relay.stop())
    return relay.ports[0] ?? 0
  }
  const realm = new URL(tokens.realm)
  // By its name: crane believes no realm at a loopback address.
  realm.hostname = 'localhost'
  realm.port = String(await reach(Number(realm.port)))
  const registry = await startDockerRegistry({ tokens: { ...tokens, realm: realm.href } })
  stack.defer(() => registry.stop())
  const host = `127.0.0.1:${await reach(registry.port)}`
  const caFile = join(folder, `token-registry-${roundTripMs}.pem`)
  const ca = registry.ca?.cert ?? ''
  await writeFile(caFile, [ca, tokens.ca.cert].join('\n'))
  const target: PushTarget = {
    origin: registry.origin,
    ca,
    authorization: (repository) => `Bearer ${tokens.mint(repository, ['pull', 'push'])}`,
  }
  const held = stack.move()
  return {
    ...{ host, caFile, tokens },
    entry: (name) => ({
      ...{
        host: name,
        upstream: `https://${host}`,
        caFile,
        realms: [realm.origin],
        allowAddresses: ['127.0.0.0/8', '::1/128'],
      },
    }),
    push: (repository, image) => pushCrafted(target, repository, image),
    stop: () => held.disposeAsync(),
  }
}
