import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { DockerRegistry, Login } from './docker-registry.ts'
import { skopeoCopy } from './skopeo.ts'
import { needTool } from './tools.ts'

export type ImageOptions = {
  /** Of the form `team/app`. */
  repository: string
  tag: string
  login?: Login | undefined
  /** Random, so that it does not compress: what a blob weighs on the wire. Default 1 KiB. */
  layerBytes?: number
  /** A static executable that the image runs, in place of random content. */
  program?: Buffer
}

export type PushedImage = {
  repository: string
  tag: string
  manifestDigest: string
  configDigest: string
  layerDigests: string[]
}

type Descriptor = { digest: string }

const run = promisify(execFile)

/** Makes an image of one layer from scratch, with content that no other image has, and pushes it. */
export async function pushImage(registry: DockerRegistry, options: ImageOptions): Promise<PushedImage> {
  const { repository, tag, login, layerBytes = 1024, program } = options
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-image-'))
  try {
    const layout = join(dir, 'layout')
    const content = join(dir, 'content')
    await writeFile(content, program ?? randomBytes(layerBytes), { mode: 0o755 })
    await umoci('init', '--layout', layout)
    await umoci('new', '--image', `${layout}:${tag}`)
    await umoci('insert', '--rootless', '--image', `${layout}:${tag}`, content, '/content')
    await umoci('config', '--image', `${layout}:${tag}`, '--config.cmd', '/content')
    await skopeoCopy(`oci:${layout}:${tag}`, `docker://${registry.host}/${repository}:${tag}`, {
      ca: registry.ca?.cert,
      login,
    })
    return { repository, tag, ...(await digestsOf(layout)) }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function digestsOf(layout: string) {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as { manifests: Descriptor[] }
  const manifestDigest = index.manifests[0]?.digest ?? ''
  const blob = join(layout, 'blobs', ...manifestDigest.split(':'))
  const manifest = JSON.parse(await readFile(blob, 'utf8')) as { config: Descriptor; layers: Descriptor[] }
  return {
    manifestDigest,
    configDigest: manifest.config.digest,
    layerDigests: manifest.layers.map((layer) => layer.digest),
  }
}

async function umoci(...args: string[]): Promise<void> {
  const tool = needTool('umoci')
  await run(tool.command, args, { env: tool.env })
}
