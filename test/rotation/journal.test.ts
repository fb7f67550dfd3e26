import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { createJournal, type JournalFault, worthKeeping } from '../../src/rotation/journal.ts'
import { type JournalEntry, scanJournal, toJournalLine } from '../../src/rotation/journal-line.ts'
import { memoryFolder } from './memory-folder.ts'

const now = () => new Date('2026-03-01T12:00:00.000Z')
const entry = (act: string, rotation = 'r-1'): JournalEntry => ({ what: 'intent', key: 'reg.example', rotation, act })

async function openIn(folder: string, more: { maxBytes?: number } = {}) {
  const faults: JournalFault[] = []
  const path = join(folder, 'rotation.journal')
  const journal = createJournal({ path, now, pass: () => undefined, onFault: (fault) => faults.push(fault), ...more })
  return { journal, path, faults }
}

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(memoryFolder, 'regcredd-journal-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

async function withRecords(t: TestContext, acts: string[]) {
  const folder = await tempFolder(t)
  const { journal, path } = await openIn(folder)
  for (const act of acts) await journal.write(entry(act))
  await journal.close()
  return { folder, path, bytes: await readFile(path) }
}

const actsOf = (bytes: Buffer) => scanJournal(bytes).records.map(({ act }) => act)

test('what was written is found by the next process, numbered on', async (t) => {
  const { folder, path } = await withRecords(t, ['stage', 'apply'])
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const { journal, faults } = await openIn(folder)
  await journal.ready()
  assert.deepEqual(
    journal.of('r-1').map(({ act }) => act),
    ['stage', 'apply'],
  )
  await journal.write(entry('commit'))
  assert.deepEqual(
    journal.all().map(({ n }) => n),
    [1, 2, 3],
  )
  assert.deepEqual(faults, [])
  await journal.close()
})

test('cut at any byte, a journal keeps its whole records, tells what was torn, and can be written on', async (t) => {
  const { bytes } = await withRecords(t, ['stage', 'apply', 'commit'])
  const ends = [...bytes.entries()].flatMap(([index, byte]) => (byte === 0x0a ? [index + 1] : []))
  const folder = await tempFolder(t)
  for (let length = 0; length <= bytes.length; length += 1) {
    const whole = ends.filter((end) => end <= length).length
    await writeFile(join(folder, 'rotation.journal'), bytes.subarray(0, length))
    const { journal, path, faults } = await openIn(folder)
    await journal.write(entry('next'))
    await journal.close()
    assert.deepEqual(actsOf(await readFile(path)), [...['stage', 'apply', 'commit'].slice(0, whole), 'next'])
    const torn = length - (ends[whole - 1] ?? 0)
    assert.deepEqual(
      faults.map(({ tornBytes }) => tornBytes),
      torn === 0 ? [] : [torn],
    )
  }
})

test('with any byte flipped, the record that it was in is gone, the others are there, and it is told; the next process finds a sound file', async (t) => {
  const { bytes } = await withRecords(t, ['stage', 'apply', 'commit'])
  const folder = await tempFolder(t)
  for (let index = 0; index < bytes.length; index += 1) {
    for (const mask of [0x01, 0x80]) {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(bytes.readUInt8(index) ^ mask, index)
      await writeFile(join(folder, 'rotation.journal'), flipped)
      const { journal, path, faults } = await openIn(folder)
      await journal.write(entry('next'))
      await journal.close()
      const acts = actsOf(await readFile(path))
      assert.equal(faults.length, 1, `byte ${index}`)
      assert.ok((faults[0]?.tornBytes ?? 0) > 0 || (faults[0]?.damaged ?? 0) > 0)
      const lost = ['stage', 'apply', 'commit'].filter((act) => !acts.includes(act))
      // A line break that is gone takes the line behind it along.
      assert.ok(lost.length >= 1 && lost.length <= (bytes.readUInt8(index) === 0x0a ? 2 : 1), `byte ${index}: ${acts}`)
      assert.equal(acts.at(-1), 'next')
      assert.deepEqual(scanJournal(await readFile(path)).damaged, 0)
    }
  }
})

test('a record that somebody has taken out is noticed by the numbers', async (t) => {
  const { bytes } = await withRecords(t, ['stage', 'apply', 'commit'])
  const [first, , third] = bytes.toString().split('\n')
  assert.equal(scanJournal(Buffer.from(`${first}\n${third}\n`)).damaged, 1)
})

test('a journal stays small: it is written anew in one step, the newest rotations are kept, the numbers go on', async (t) => {
  const folder = await tempFolder(t)
  const { journal, path } = await openIn(folder, { maxBytes: 20_000 })
  for (let rotation = 0; rotation < 200; rotation += 1) {
    for (const act of ['stage', 'commit', 'mirror', 'retire']) await journal.write(entry(act, `r-${rotation}`))
  }
  await journal.close()
  const { size } = await stat(path)
  assert.ok(size < 50_000, `${size} bytes`)
  const { records, damaged, tornBytes } = scanJournal(await readFile(path))
  assert.deepEqual([damaged, tornBytes, records.at(-1)?.rotation, records.at(-1)?.n], [0, 0, 'r-199', 800])
  assert.deepEqual(await readdir(folder), ['rotation.journal'])
})

test('one rotation that is asked about for ever does not fill the journal', () => {
  const records = Array.from({ length: 500 }, (_, index) => ({ n: index + 1, time: 't', ...entry('apply') }))
  assert.equal(worthKeeping(records).length, 40)
  assert.equal(worthKeeping(records).at(-1)?.n, 500)
})

test('a folder that is missing, a file that is none, and a link are refused with JOURNAL_UNAVAILABLE, and heal', async (t) => {
  const folder = await tempFolder(t)
  const { journal, path } = await openIn(join(folder, 'later'))
  await assert.rejects(journal.write(entry('stage')), { code: 'JOURNAL_UNAVAILABLE', detail: /ENOENT/ })
  await writeFile(join(folder, 'elsewhere'), '')
  await rename(await mkdtemp(join(folder, 'made-')), join(folder, 'later'))
  await symlink(join(folder, 'elsewhere'), path)
  await assert.rejects(journal.write(entry('stage')), { code: 'JOURNAL_UNAVAILABLE', detail: /ELOOP/ })
  await rm(path)
  await journal.write(entry('stage'))
  assert.deepEqual(actsOf(await readFile(path)), ['stage'])
  await journal.close()
})

test('a file that was moved away under the daemon is made anew', async (t) => {
  const folder = await tempFolder(t)
  const { journal, path } = await openIn(folder)
  await journal.write(entry('stage'))
  await rm(path)
  await journal.write(entry('commit'))
  assert.deepEqual(actsOf(await readFile(path)), ['commit'])
  assert.deepEqual(
    journal.of('r-1').map(({ act }) => act),
    ['stage', 'commit'],
  )
  await journal.close()
})

test('nothing but its own fields gets into a record, and no text with a line break or of any length', () => {
  const record = { n: 1, time: 't', ...entry('stage') }
  assert.ok(toJournalLine({ ...record, key: `${'h'.repeat(253)}:65535/${'p'.repeat(255)}` }), 'the longest name')
  for (const bad of [
    { ...record, secret: 'x' },
    { ...record, act: 'a\nb' },
    { ...record, key: 'ü' },
    { ...record, act: 'x'.repeat(301) },
    { ...record, key: 'x'.repeat(521) },
  ]) {
    assert.throws(
      () => toJournalLine(bad),
      (thrown) => thrown instanceof RegcreddError && thrown.code === 'INTERNAL',
    )
  }
})
