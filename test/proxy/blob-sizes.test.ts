import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBlobSizes } from '../../src/proxy/blob-sizes.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const MIB = 1024 * 1024
const manifest = Buffer.from(JSON.stringify({ layers: [{ digest: DIGEST, size: 7 }, { digest: 'x', size: 1 }, null] }))

test('sizes are a registry’s own, and what is no descriptor tells none', () => {
  const sizes = createBlobSizes()
  const reader = sizes.reader('reg.example')
  reader.onPiece(manifest.subarray(0, 10))
  reader.onPiece(manifest.subarray(10))
  reader.read()
  assert.equal(sizes.sizeOf('reg.example', DIGEST), 7)
  assert.equal(sizes.sizeOf('other.example', DIGEST), undefined)
  assert.equal(sizes.sizeOf('reg.example', 'x'), undefined)
})

test('a manifest that is larger than any image needs is not held in memory, and tells no sizes', () => {
  const sizes = createBlobSizes()
  const reader = sizes.reader('reg.example')
  const spaces = Buffer.alloc(65_536, ' ')
  const before = process.memoryUsage().arrayBuffers
  reader.onPiece(manifest)
  for (let i = 0; i < 1_024; i++) reader.onPiece(spaces)
  const grown = process.memoryUsage().arrayBuffers - before
  assert.ok(grown < 16 * MIB, `${grown} bytes`)
  reader.read()
  assert.equal(sizes.sizeOf('reg.example', DIGEST), undefined)
})
