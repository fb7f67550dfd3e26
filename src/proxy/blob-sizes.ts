import { LRUCache } from 'lru-cache'
import { isDigest } from '../registry/digest.ts'

/** Some 3,000 layers. A hostile registry may send 4 MiB that parse to a hundred times that, to many pulls at once; here only an audit's number is at stake. */
const MAX_MANIFEST_BYTES = 512 * 1024
const MAX_SIZES = 20_000

/** What manifests that went through say of the sizes of blobs, for those that then do not. */
export type BlobSizes = {
  sizeOf(registry: string, digest: string): number | undefined
  /** Takes the bytes of one manifest; `read` is to be called when all of them are there. */
  reader(registry: string): { onPiece: (piece: Buffer) => void; read: () => void }
}

/** Some 4 MB at the most. A registry's word counts for its own blobs alone. */
export function createBlobSizes(): BlobSizes {
  const sizes = new LRUCache<string, number>({ max: MAX_SIZES })
  return {
    sizeOf: (registry, digest) => sizes.get(`${registry} ${digest}`),
    reader(registry) {
      const pieces: Buffer[] = []
      let total = 0
      return {
        onPiece(piece) {
          total += piece.length
          if (total <= MAX_MANIFEST_BYTES) pieces.push(Buffer.from(piece))
          else pieces.length = 0
        },
        read() {
          if (total > MAX_MANIFEST_BYTES) return
          for (const { digest, size } of descriptorsOf(Buffer.concat(pieces))) sizes.set(`${registry} ${digest}`, size)
        },
      }
    },
  }
}

/** The descriptors of config, layers and blobs (image-spec § Manifest); none where the text is something else. */
export function descriptorsOf(manifest: Buffer): { digest: string; size: number }[] {
  const { config, layers, blobs } = parse(manifest)
  return [config, ...listOf(layers), ...listOf(blobs)].flatMap((item) => {
    const { digest, size } = fieldsOf(item)
    const isGood = typeof digest === 'string' && isDigest(digest) && Number.isSafeInteger(size) && Number(size) >= 0
    return isGood ? [{ digest, size: Number(size) }] : []
  })
}

function parse(manifest: Buffer): Record<string, unknown> {
  try {
    return fieldsOf(JSON.parse(manifest.toString()))
  } catch {
    // Whether it is a good manifest is between the registry and its client.
    return {}
  }
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
