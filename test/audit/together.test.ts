import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { AUDIT_FILE, openAudit } from '../../src/audit/writer.ts'
import { begin, end, optionsFor, recordsIn, tempFolder } from './events.ts'

const idsIn = (folder: string) =>
  recordsIn(folder).map((record) => ('id' in record ? `${record.type} ${record.id}` : record.type))

/** Calls of write(2) and its kin by this process so far (proc(5)). */
function writeCalls(): number {
  return Number(/^syscw: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
}

test('records of one turn of the event loop are one write, in order and numbered, before the first of them is acknowledged', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder))
  const file = join(folder, AUDIT_FILE)
  const seen: number[] = []
  const all = Array.from({ length: 100 }, (_, index) =>
    audit.pullWithOthers({ ...(index % 2 === 0 ? begin : end), id: `r-${index}` }).then(() => {
      seen.push(recordsIn(folder).length)
    }),
  )
  assert.equal(readFileSync(file, 'utf8'), '')
  const before = writeCalls()
  await Promise.all(all)
  const calls = writeCalls() - before
  assert.ok(calls < 20, `${calls} writes for 100 records`)
  assert.deepEqual(new Set(seen), new Set([100]))
  audit.pull({ ...end, id: 'r-100' })
  const records = recordsIn(folder)
  assert.deepEqual(
    records.map((record) => [record.seq, 'id' in record ? record.id : '']),
    records.map((_, index) => [index + 1, `r-${index}`]),
  )
  audit.close()
})

test('what is written at once comes after what was waiting, and closing leaves nothing behind', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder))
  const first = audit.pullWithOthers({ ...begin, id: 'first' })
  audit.event({ type: 'audit.reopened', detail: {} })
  const second = audit.pullWithOthers({ ...begin, id: 'second' })
  audit.pull({ ...end, id: 'third' })
  const fourth = audit.pullWithOthers({ ...end, id: 'fourth' })
  audit.close()
  await Promise.all([first, second, fourth])
  assert.deepEqual(idsIn(folder), [
    'pull.begin first',
    'audit.reopened',
    'pull.begin second',
    'pull.end third',
    'pull.end fourth',
  ])
  await assert.rejects(audit.pullWithOthers(begin), { code: 'AUDIT_UNAVAILABLE' })
})

test('after a rotation of the file what was waiting is in the old one', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder))
  const waiting = audit.pullWithOthers(begin)
  audit.reopen()
  await waiting
  audit.close()
  assert.deepEqual(idsIn(folder), ['pull.begin r-1', 'audit.reopened'])
})

test('an event with a secret in it stops its own pull and none that is written with it', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder, { whenFull: 'open' }))
  const leaking = { ...end, headers: { authorization: 'Bearer hunter2' } }
  const [before, bad, after] = await Promise.allSettled([
    audit.pullWithOthers({ ...begin, id: 'before' }),
    audit.pullWithOthers(leaking),
    audit.pullWithOthers({ ...begin, id: 'after' }),
  ])
  audit.close()
  assert.deepEqual([before.status, bad.status, after.status], ['fulfilled', 'rejected', 'fulfilled'])
  assert.deepEqual(idsIn(folder), ['pull.begin before', 'pull.begin after'])
  assert.deepEqual(
    recordsIn(folder).map(({ seq }) => seq),
    [1, 2],
  )
})
