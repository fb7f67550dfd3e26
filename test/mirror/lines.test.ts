import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { linesOf } from '../../src/mirror/lines.ts'

async function linesFrom(chunks: Uint8Array[]): Promise<{ lines: string[]; signs: number }> {
  let signs = 0
  const lines: string[] = []
  for await (const line of linesOf(ReadableStream.from(chunks), () => {
    signs += 1
  })) {
    lines.push(line)
  }
  return { lines, signs }
}

test('lines come whole however the stream is cut, in the middle of a character too', async () => {
  const word = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\n'))
  await fc.assert(
    fc.asyncProperty(
      fc.array(word),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      async (words, sizes) => {
        const bytes = Buffer.from(words.map((text) => `${text}\n`).join(''))
        const chunks: Uint8Array[] = []
        for (let at = 0, n = 0; at < bytes.length; n += 1) {
          const size = sizes[n % sizes.length] ?? 1
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        assert.deepEqual((await linesFrom(chunks)).lines, words)
      },
    ),
  )
})

test('every piece is a sign of life, an empty line is no line, and half a line at the end is none', async () => {
  const pieces = ['a\n', '\n', 'b', '\nc'].map((text) => Buffer.from(text))
  assert.deepEqual(await linesFrom(pieces), { lines: ['a', 'b'], signs: 4 })
})

test('a line without an end is not waited for without an end', async () => {
  const piece = Buffer.alloc(1024 * 1024, 'x')
  await assert.rejects(linesFrom(Array(9).fill(piece)), /something else/)
})
