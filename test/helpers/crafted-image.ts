import { createHash, randomBytes } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'

/** Everything that belongs to one tag, in the order in which it must be pushed: blobs, then manifests, the tagged one last. */
export type CraftedImage = {
  tag: string
  blobs: Buffer[]
  manifests: CraftedManifest[]
  /** Of the last manifest: what the tag stands for. */
  digest: string
}

export type CraftedManifest = { mediaType: string; content: Buffer; digest: string; tag: string | undefined }

type Descriptor = { mediaType: string; digest: string; size: number }
type Layer = { blob: Buffer; mediaType: string; diffId: string }
type Dialect = { manifest: string; config: string; layer: string }

const OCI: Dialect = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
}
const DOCKER: Dialect = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
}
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const EMPTY = { mediaType: 'application/vnd.oci.empty.v1+json', blob: Buffer.from('{}') }
const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const other = architecture === 'amd64' ? 'arm64' : 'amd64'

export function craftSingle(tag: string): CraftedImage {
  return lastTagged(tag, craftPlatform(tag, architecture, [gzipLayer(tag)], OCI))
}

export function craftLayers(tag: string, count: number): CraftedImage {
  const layers = Array.from({ length: count }, (_, index) => gzipLayer(`${tag} ${index}`))
  return lastTagged(tag, craftPlatform(tag, architecture, layers, OCI))
}

/** One uncompressed layer of `sizeBytes` and a little more; its content repeats itself only every MiB. */
export function craftLarge(tag: string, sizeBytes: number): CraftedImage {
  const header = tarHeader('content', sizeBytes)
  const blob = Buffer.alloc(header.length + sizeBytes + 1024)
  header.copy(blob)
  blob.fill(randomBytes(2 ** 20), header.length, header.length + sizeBytes)
  const layer = { blob, mediaType: OCI.layer.replace('+gzip', ''), diffId: digestOf(blob) }
  return lastTagged(tag, craftPlatform(tag, architecture, [layer], OCI))
}

export function craftZstd(tag: string): CraftedImage {
  const tar = tarOf('content', Buffer.from(tag.repeat(500)))
  const layer = {
    blob: zstdCompressSync(tar),
    mediaType: OCI.layer.replace('gzip', 'zstd'),
    diffId: digestOf(tar),
  }
  return lastTagged(tag, craftPlatform(tag, architecture, [layer], OCI))
}

/** As buildkit pushes it: an index for two platforms, one with an attestation that claims the platform unknown/unknown. */
export function craftIndex(tag: string): CraftedImage {
  const images = [architecture, other].map((arch) => craftPlatform(tag, arch, [gzipLayer(`${tag} ${arch}`)], OCI))
  const statement = Buffer.from(
    JSON.stringify({ _type: 'https://in-toto.io/Statement/v0.1', subject: [{ name: tag }] }),
  )
  const attestation = craftManifest(OCI, 'unknown', 'unknown', [
    { blob: statement, mediaType: 'application/vnd.in-toto+json', diffId: digestOf(statement) },
  ])
  const entries = [
    ...images.map((image, index) => entryOf(image, 'linux', [architecture, other][index] ?? '')),
    {
      ...entryOf(attestation, 'unknown', 'unknown'),
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': images[0]?.manifests[0]?.digest,
      },
    },
  ]
  return lastTagged(tag, ...images, attestation, { blobs: [], manifests: [listOf(OCI_INDEX, entries)] })
}

export function craftDockerList(tag: string): CraftedImage {
  const images = [architecture, other].map((arch) => craftPlatform(tag, arch, [gzipLayer(`${tag} ${arch}`)], DOCKER))
  const entries = images.map((image, index) => entryOf(image, 'linux', [architecture, other][index] ?? ''))
  return lastTagged(tag, ...images, { blobs: [], manifests: [listOf(DOCKER_LIST, entries)] })
}

/** An artifact that refers to `subject`, and the index by which it is found where the registry has no referrers API (distribution-spec § Referrers Tag Schema). */
export function craftArtifact(tag: string, subject: CraftedManifest): CraftedImage & { referrersTag: string } {
  const artifactType = 'application/vnd.example.sbom'
  const content = Buffer.from(JSON.stringify({ sbom: tag }))
  const artifact = manifestOf(OCI.manifest, {
    artifactType,
    config: descriptorOf(EMPTY.mediaType, EMPTY.blob),
    layers: [descriptorOf('application/json', content)],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.content.length },
  })
  const found = { mediaType: artifact.mediaType, digest: artifact.digest, size: artifact.content.length, artifactType }
  const referrersTag = subject.digest.replace(':', '-')
  const referrers = { ...listOf(OCI_INDEX, [found]), tag: referrersTag }
  const blobs = [EMPTY.blob, content]
  return { tag, blobs, manifests: [artifact, referrers, { ...artifact, tag }], digest: artifact.digest, referrersTag }
}

type Part = { blobs: Buffer[]; manifests: CraftedManifest[] }

function craftPlatform(name: string, arch: string, layers: Layer[], dialect: Dialect): Part {
  return craftManifest(dialect, 'linux', arch, layers, { Cmd: ['/content'], Labels: { name } })
}

function craftManifest(dialect: Dialect, os: string, arch: string, layers: Layer[], config: object = {}): Part {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }
  const configBlob = Buffer.from(JSON.stringify({ architecture: arch, os, config, rootfs }))
  const manifest = manifestOf(dialect.manifest, {
    config: descriptorOf(dialect.config, configBlob),
    layers: layers.map(({ blob, mediaType }) => descriptorOf(mediaType === '' ? dialect.layer : mediaType, blob)),
  })
  return { blobs: [configBlob, ...layers.map(({ blob }) => blob)], manifests: [manifest] }
}

function lastTagged(tag: string, ...parts: Part[]): CraftedImage {
  const manifests = parts.flatMap((part) => part.manifests)
  const last = manifests.at(-1)
  if (last === undefined) throw new Error('an image has a manifest')
  return {
    tag,
    blobs: parts.flatMap(({ blobs }) => blobs),
    manifests: [...manifests.slice(0, -1), { ...last, tag }],
    digest: last.digest,
  }
}

function entryOf({ manifests: [manifest] }: Part, os: string, arch: string): Descriptor & { platform: object } {
  if (manifest === undefined) throw new Error('a part has a manifest')
  const { mediaType, digest, content } = manifest
  return { mediaType, digest, size: content.length, platform: { os, architecture: arch } }
}

function listOf(mediaType: string, manifests: object[]): CraftedManifest {
  return manifestOf(mediaType, { manifests })
}

function manifestOf(mediaType: string, fields: object): CraftedManifest {
  const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }))
  return { mediaType, content, digest: digestOf(content), tag: undefined }
}

function gzipLayer(text: string): Layer {
  const tar = tarOf(`content-${digestOf(Buffer.from(text)).slice(-8)}`, Buffer.from(text.repeat(20)))
  return { blob: gzipSync(tar), mediaType: '', diffId: digestOf(tar) }
}

function descriptorOf(mediaType: string, blob: Buffer): Descriptor {
  return { mediaType, digest: digestOf(blob), size: blob.length }
}

export function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}

/** A tar archive (POSIX ustar) of one file. */
function tarOf(name: string, content: Buffer): Buffer {
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512)
  return Buffer.concat([tarHeader(name, content.length), content, padding, Buffer.alloc(1024)])
}

function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o644, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(sizeBytes, 12), 124)
  header.write(octal(0, 12), 136)
  header.write(' '.repeat(8), 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
    148,
  )
  return header
}
