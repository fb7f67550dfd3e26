import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { startContainerd, writeHostsToml } from '../helpers/containerd.ts'
import { digestOf } from '../helpers/fake-registry.ts'
import { titleOf } from './parts.ts'
import { type DemoRegistry, HOST, IMAGE, REPOSITORY, TAG } from './registry.ts'

/** Where pulls go: the daemon, or the registry, or the daemon and, if it fails, the registry. */
export type Route = { daemon?: { proxy: string; callerToken: string }; registry?: DemoRegistry }

export type Puller = {
  title: string
  /** How it pulls, in words that follow `pulls`. */
  how: string
  route(route: Route): Promise<void>
  /** Pulls every byte anew and gives the manifest's digest; rejects in the puller's own words. */
  pull(): Promise<string>
  stop(): Promise<void>
}

const accept = { accept: 'application/vnd.oci.image.manifest.v1+json' }

/** A real containerd, asked as the kubelet asks it, with nothing but hosts.toml to go by. */
export async function startContainerdPuller(): Promise<Puller> {
  const containerd = await startContainerd()
  return {
    title: titleOf('containerd'),
    how: 'by CRI PullImage, as the kubelet does',
    route: ({ daemon, registry }) =>
      daemon !== undefined && registry !== undefined
        ? writeFallback(containerd.certsDir, daemon.proxy, registry)
        : writeHostsToml(containerd.certsDir, HOST, {
            url: daemon === undefined ? (registry?.origin ?? '') : `http://${daemon.proxy}`,
            ...(daemon !== undefined && { headers: { 'regcredd-token': daemon.callerToken } }),
            ...(registry?.ca !== undefined && { caFile: registry.ca.certFile }),
          }),
    async pull() {
      if ((await containerd.cri.imageStatus(IMAGE)) !== undefined) await containerd.forget(IMAGE)
      await containerd.cri.pullImage(IMAGE)
      const pulled = (await containerd.cri.imageStatus(IMAGE))?.repoDigests[0]
      const [name, digest = ''] = pulled?.split('@') ?? []
      assert.equal(name, `${HOST}/${REPOSITORY}`)
      return digest
    },
    stop: containerd.stop,
  }
}

/** Requests of this process, where containerd cannot be had: manifest and blobs, each compared with its digest. */
export function createPlainPuller(): Puller {
  let places: ((path: string) => Promise<IncomingMessage>)[] = []

  async function get(path: string): Promise<Buffer> {
    let failure = new Error('nowhere to pull from')
    for (const place of places) {
      try {
        const answer = await place(path)
        const body = await buffer(answer)
        if (answer.statusCode === 200) return body
        failure = new Error(
          `GET ${path.replace(/\?.*/, '')}: ${answer.statusCode} ${body.toString().trim().slice(0, 200)}`,
        )
      } catch (thrown) {
        failure = thrown as Error
      }
    }
    throw failure
  }

  return {
    title: 'a plain HTTP client',
    how: 'by manifest, config and layers',
    async route({ daemon, registry }) {
      const headers = { ...accept, 'regcredd-token': daemon?.callerToken ?? '' }
      const byDaemon = (path: string) => ask(`http://${daemon?.proxy}${path}?ns=${HOST}`, { headers })
      const trust = registry?.ca === undefined ? {} : { ca: registry.ca.cert, servername: HOST }
      const byRegistry = (path: string) => ask(`${registry?.origin}${path}`, { headers: accept, ...trust })
      places = [...(daemon === undefined ? [] : [byDaemon]), ...(registry === undefined ? [] : [byRegistry])]
    },
    async pull() {
      const content = await get(`/v2/${REPOSITORY}/manifests/${TAG}`)
      const { config, layers } = JSON.parse(content.toString()) as { config: { digest: string }; layers: [] }
      for (const { digest } of [config, ...layers]) {
        assert.equal(digestOf(await get(`/v2/${REPOSITORY}/blobs/${digest}`)), digest)
      }
      return digestOf(content)
    },
    stop: async () => {},
  }
}

/** The form that falls to the image's own registry when the daemon fails. */
async function writeFallback(certsDir: string, proxy: string, registry: DemoRegistry): Promise<void> {
  const lines = [
    `server = "${registry.origin}"`,
    ...(registry.ca === undefined ? [] : [`ca = "${registry.ca.certFile}"`]),
    `[host."http://${proxy}"]`,
    'capabilities = ["pull", "resolve"]',
  ]
  await mkdir(join(certsDir, HOST), { recursive: true })
  await writeFile(join(certsDir, HOST, 'hosts.toml'), `${lines.join('\n')}\n`)
}

function ask(url: string, options: object): Promise<IncomingMessage> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    request(url, { agent: false, ...options }, resolve)
      .on('error', reject)
      .end()
  })
}
