import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { startDockerRegistry } from '../helpers/docker-registry.ts'
import { digestOf, startFakeRegistry } from '../helpers/fake-registry.ts'
import { getStatus } from '../helpers/get-status.ts'
import { pushImage } from '../helpers/image.ts'
import { titleOf } from './parts.ts'

export const HOST = 'registry.corp.example'
export const REPOSITORY = 'team/app'
export const TAG = '1'
export const IMAGE = `${HOST}/${REPOSITORY}:${TAG}`
export const USERNAME = 'ci'
export const LAYER_BYTES = 3_000_000

/** The private registry of the demo, whichever program it is. */
export type DemoRegistry = {
  title: string
  origin: string
  /** What its certificate is signed by; without one it speaks http. */
  ca: { certFile: string; cert: string } | undefined
  /** Makes the image from scratch and pushes it; gives the manifest's digest. */
  push(password: string): Promise<string>
  /** In force when it resolves. */
  setPassword(password: string): Promise<void>
  /** What it answers to `GET /v2/` with this password of the demo's user, or with none. */
  statusFor(password: string | undefined): Promise<number>
  /** Requests for a manifest that it has answered with 401, each as it says it. */
  refusals(): string[]
  stop(): Promise<void>
}

/** Debian's docker-registry: htpasswd, and TLS by an authority made on the spot. */
export async function startRealRegistry(password: string): Promise<DemoRegistry> {
  const registry = await startDockerRegistry({ login: { username: USERNAME, password }, names: [HOST] })
  return {
    title: titleOf('docker-registry'),
    origin: registry.origin,
    ca: registry.ca,
    push: async (current) => {
      const login = { username: USERNAME, password: current }
      const pushed = await pushImage(registry, { repository: REPOSITORY, tag: TAG, login, layerBytes: LAYER_BYTES })
      return pushed.manifestDigest
    },
    setPassword: registry.setPassword,
    statusFor: (tried) => getStatus(registry, tried === undefined ? undefined : loginOf(tried), HOST),
    refusals: () => registry.log().match(/"(?:GET|HEAD) \/v2\/team\/app\/manifests\/\S+ HTTP\/1\.1" 401 /g) ?? [],
    stop: registry.stop,
  }
}

/** The registry of the tests, in this process, where the real one cannot be had. */
export async function startOwnRegistry(password: string): Promise<DemoRegistry> {
  const registry = await startFakeRegistry({ auth: 'basic', username: USERNAME, password })
  return {
    title: 'the tests’ own registry',
    origin: registry.origin.origin,
    ca: undefined,
    push: async () => {
      const tar = Buffer.alloc(1_024) // an archive without files
      const layer = gzipSync(tar)
      const config = Buffer.from(
        JSON.stringify({
          architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
          os: 'linux',
          config: { Labels: { made: randomBytes(8).toString('hex') } },
          rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
        }),
      )
      for (const blob of [layer, config]) registry.addBlob(blob)
      return registry.addManifest(REPOSITORY, TAG, {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: descriptorOf('application/vnd.oci.image.config.v1+json', config),
        layers: [descriptorOf('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
      })
    },
    setPassword: async (next) => registry.setPassword(next),
    statusFor: (tried) =>
      getStatus({ origin: registry.origin.origin, ca: undefined }, tried === undefined ? undefined : loginOf(tried)),
    refusals: () =>
      registry.requests.flatMap(({ method, url, headers }) =>
        url.includes('/manifests/') && headers.authorization === undefined ? [`"${method} ${url}" 401`] : [],
      ),
    stop: registry.close,
  }
}

function loginOf(password: string) {
  return { username: USERNAME, password }
}

function descriptorOf(mediaType: string, content: Buffer) {
  return { mediaType, size: content.length, digest: digestOf(content) }
}
