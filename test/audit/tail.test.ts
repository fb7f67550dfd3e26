import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { toLine } from '../../src/audit/line.ts'
import { readAudit } from '../../src/audit/tail.ts'
import { AUDIT_FILE } from '../../src/audit/writer.ts'
import { begin, tempFolder } from './events.ts'

function lines(count: number, length = 10): string {
  const one = (_: unknown, index: number) =>
    toLine({ ...begin, reference: 'é'.repeat(length) }, { seq: index + 1, time: '2026-05-04T03:02:01.000Z', node: 'n' })
  return Array.from({ length: count }, one).join('')
}

async function seqs(folder: string, limit: number, after?: number): Promise<number[]> {
  return (await readAudit(folder, { limit, after })).map(({ seq }) => seq)
}

test('without a number the newest records come, after one those that follow it, however lines fall on blocks', async (t) => {
  const folder = tempFolder(t)
  const after = fc.option(fc.nat(500), { nil: undefined })
  await fc.assert(
    fc.asyncProperty(fc.nat(400), fc.nat(1000), fc.nat(500), after, async (count, length, limit, after) => {
      writeFileSync(join(folder, AUDIT_FILE), lines(count, length))
      const all = Array.from({ length: count }, (_, index) => index + 1)
      const wanted = after === undefined ? all.slice(Math.max(0, count - limit)) : all.slice(after, after + limit)
      assert.deepEqual(await seqs(folder, limit, after), wanted)
    }),
    { numRuns: 40 },
  )
})

test('a torn tail, be it a whole record without its newline, is not shown', async (t) => {
  const folder = tempFolder(t)
  const whole = lines(3)
  for (const cut of [1, 2, 50]) {
    writeFileSync(join(folder, AUDIT_FILE), whole.slice(0, -cut))
    assert.deepEqual(await seqs(folder, 10), [1, 2])
  }
})

test('rubbish between records is passed over, also where it is longer than any record', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, AUDIT_FILE)
  writeFileSync(path, lines(1))
  appendFileSync(path, `${'x'.repeat(600_000)}\n\n{"seq":9}\n`)
  appendFileSync(path, lines(2).split('\n').slice(1).join('\n'))
  assert.deepEqual(await seqs(folder, 10), [1, 2])
})

test('rubbish anywhere, of any length, hides no record from who pages on', async (t) => {
  const folder = tempFolder(t)
  const rubbish = fc.oneof(
    fc.nat(300_000).map((length) => `${'x'.repeat(length)}\n`),
    fc.constantFrom('\n', '{"seq":9}\n', '{"seq":', '\0\0\n'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(fc.nat(60), rubbish), { maxLength: 12 }), fc.nat(300), async (parts, after) => {
      const records = lines(1_000).split('\n')
      let taken = 0
      const text = parts.map((part) => {
        if (typeof part === 'string') return `\n${part}\n`
        taken += part
        return records
          .slice(taken - part, taken)
          .map((line) => `${line}\n`)
          .join('')
      })
      writeFileSync(join(folder, AUDIT_FILE), text.join(''))
      const wanted = Array.from({ length: Math.max(0, taken - after) }, (_, index) => after + index + 1)
      assert.deepEqual(await seqs(folder, 1_000, after), wanted)
    }),
    { numRuns: 60 },
  )
})

test('a page costs what it holds, wherever it stands in a long file', async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, AUDIT_FILE), lines(20_000, 400))
  const bytesRead = () => Number(/^rchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
  for (const after of [0, 5, 9_999, 19_990]) {
    const before = bytesRead()
    assert.deepEqual(
      await seqs(folder, 3, after),
      [1, 2, 3].map((step) => after + step),
    )
    const cost = bytesRead() - before
    assert.ok(cost < 2_500_000, `${cost} bytes were read after ${after}`)
  }
})

test('a file that is not there holds no records; one that cannot be read is an error', async (t) => {
  const folder = tempFolder(t)
  assert.deepEqual(await seqs(folder, 10), [])
  mkdirSync(join(folder, AUDIT_FILE))
  await assert.rejects(seqs(folder, 10), { code: 'AUDIT_UNAVAILABLE' })
})
