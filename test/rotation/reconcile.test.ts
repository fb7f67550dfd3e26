import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JournalEntry, JournalRecord } from '../../src/rotation/journal-line.ts'
import { openActs, toldState } from '../../src/rotation/reconcile.ts'
import { admin, createBench, createMemoryJournal, ended, KEY, login, newPassword } from './kit.ts'

const record = (entry: Partial<JournalEntry>): JournalRecord => ({
  n: 1,
  time: '2026-03-01T12:00:00.000Z',
  what: 'intent',
  key: KEY,
  rotation: 'r',
  ...entry,
})

test('an act is open from its intent until its result, or until its end was told', () => {
  const begun = [record({ act: 'stage' }), record({ act: 'stage', what: 'result' }), record({ act: 'apply' })]
  assert.deepEqual(openActs(begun), ['apply'])
  assert.deepEqual(openActs([...begun, record({ act: 'apply', what: 'told', outcome: 'lost' })]), [])
  assert.equal(
    toldState([record({ what: 'result', state: 'STAGED' }), record({ what: 'reached', state: 'APPLIED' })]),
    'STAGED',
  )
  assert.equal(toldState([]), undefined)
})

test('a keychain that was put back to an earlier day wins over the journal, which is told; what was reached then does not count', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  const backup = await bench.keychain.get(KEY)
  bench.registry.password = 'new'
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  await bench.rotations.close()

  const later = createBench({ journal: bench.parts.journal })
  await later.keychain.update(KEY, () => backup)
  later.registry.mood = 'hanging'
  await later.rotations.resume()
  const told = later.parts.journal.of(id).filter(({ what }) => what === 'told')
  assert.deepEqual(
    told.map(({ state }) => state),
    ['STAGED'],
  )
  assert.deepEqual(
    (await later.rotations.get(id)).steps.map(({ state }) => state),
    ['STAGED'],
  )
  await later.rotations.close()

  const last = createBench({ journal: bench.parts.journal, keychain: later.keychain })
  last.registry.password = 'new'
  await last.rotations.resume()
  const rotation = await ended(last.rotations, id)
  assert.deepEqual(
    rotation.steps.map(({ state }) => state),
    ['STAGED', 'APPLIED', 'VERIFIED', 'COMMITTED', 'MIRRORED', 'GRACE'],
  )
})

test('without its journal a rotation is taken up all the same', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await bench.rotations.close()
  const later = createBench({ keychain: bench.keychain })
  later.registry.password = 'new'
  await later.rotations.resume()
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.deepEqual(later.faults, [])
})

test('a journal that cannot be read holds up neither the start nor what is staged for longer than it lasts', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await bench.rotations.close()
  const journal = createMemoryJournal(bench.time.now)
  const { write } = journal
  let isBroken = true
  journal.ready = () => Promise.reject(new Error('EIO'))
  journal.write = (entry) => (isBroken ? Promise.reject(new Error('EIO')) : write(entry))
  const later = createBench({ keychain: bench.keychain, journal })
  later.registry.password = 'new'
  await later.rotations.resume()
  assert.ok(later.faults.length > 0)
  isBroken = false
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
})

test('a rotation that was begun and never staged is closed in the journal at the next start', async () => {
  const bench = createBench()
  await bench.parts.journal.write({ what: 'intent', key: KEY, rotation: 'r-lost', act: 'stage' })
  await bench.rotations.resume()
  assert.equal(bench.parts.journal.of('r-lost').at(-1)?.what, 'told')
  const count = bench.parts.journal.all().length
  await bench.rotations.resume()
  assert.equal(bench.parts.journal.all().length, count, 'once is enough')
})
