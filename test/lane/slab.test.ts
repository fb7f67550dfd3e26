import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  loseSlab,
  MAX_LARGE,
  retireSlab,
  SLAB_BYTES,
  type Slab,
  SMALL_SLAB_BYTES,
  takeSlab,
  writtenFrom,
} from '../../src/lane/slab.ts'

const take = (count: number) => Array.from({ length: count }, takeSlab)
const sizes = (slabs: Slab[]) => slabs.map(({ bytes }) => bytes.length)
const isAllLarge = (slabs: Slab[]) => sizes(slabs).every((size) => size === SLAB_BYTES)

test('the first streams get large pieces of memory, those beyond small ones, and room that is given back is large again', () => {
  const [large, small] = [take(MAX_LARGE), take(1_000)]
  assert.ok(isAllLarge(large))
  assert.deepEqual(new Set(sizes(small)), new Set([SMALL_SLAB_BYTES]))
  for (const slab of [...large, ...small]) retireSlab(slab)
  const again = take(MAX_LARGE + 1)
  assert.ok(isAllLarge(again.slice(0, MAX_LARGE)))
  assert.equal(again.at(-1)?.bytes.length, SMALL_SLAB_BYTES)
  for (const slab of again) retireSlab(slab)
})

test('memory is given back when all that was written from it has left, and not before', () => {
  const slab = takeSlab()
  slab.writing = 2
  retireSlab(slab)
  writtenFrom(slab)
  const others = take(MAX_LARGE)
  assert.ok(others.every(({ bytes }) => bytes !== slab.bytes))
  for (const other of others) retireSlab(other)
  writtenFrom(slab)
  const later = take(MAX_LARGE)
  assert.ok(later.some(({ bytes }) => bytes === slab.bytes))
  for (const other of later) retireSlab(other)
})

test('memory of a connection that has ended goes to no other one, and does not count any more', () => {
  for (let round = 0; round < 3; round += 1) {
    const lost = take(MAX_LARGE)
    assert.ok(isAllLarge(lost), `round ${round}`)
    for (const slab of lost) {
      slab.writing = 1
      loseSlab(slab)
      loseSlab(slab)
      writtenFrom(slab)
    }
    const others = take(MAX_LARGE)
    assert.ok(others.every(({ bytes }) => lost.every((one) => one.bytes !== bytes)))
    for (const slab of others) retireSlab(slab)
  }
})
