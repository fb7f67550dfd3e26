import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AdminAct } from '../../src/audit/record.ts'
import { AUDIT_FILE, openAudit } from '../../src/audit/writer.ts'
import { begin, end, optionsFor, recordsIn, tempFolder } from './events.ts'

const act: AdminAct = {
  type: 'admin.intent',
  id: 'a-1',
  actor: { via: 'admin-socket', name: undefined },
  action: 'rotation.start',
  target: 'registry.corp.example',
  outcome: undefined,
  detail: undefined,
}
const unavailable = { code: 'AUDIT_UNAVAILABLE' }

test('every record is in the file when the call returns, numbered on over a restart', async (t) => {
  const folder = tempFolder(t)
  const first = await openAudit(optionsFor(folder))
  first.event({ type: 'daemon.start', detail: { version: '0.1.0' } })
  first.pull(begin)
  first.pull(end)
  assert.deepEqual(
    recordsIn(folder).map(({ seq, type, node }) => [seq, type, node]),
    [
      [1, 'daemon.start', 'node-1'],
      [2, 'pull.begin', 'node-1'],
      [3, 'pull.end', 'node-1'],
    ],
  )
  first.close()
  const second = await openAudit(optionsFor(folder))
  second.act(act)
  second.close()
  assert.equal(recordsIn(folder).at(-1)?.seq, 4)
})

test('the file is 0640 and a folder that is made 0750, whatever the umask', async (t) => {
  const folder = join(tempFolder(t), 'made')
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  const audit = await openAudit(optionsFor(folder))
  audit.close()
  assert.equal(statSync(join(folder, AUDIT_FILE)).mode & 0o777, 0o640)
  assert.equal(statSync(folder).mode & 0o777, 0o750)
})

test('a last line torn at any byte is cut at the next start, and a gap record says how much', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, AUDIT_FILE)
  const audit = await openAudit(optionsFor(folder))
  audit.pull(begin)
  const good = statSync(path).size
  audit.pull(end)
  audit.close()
  const whole = readFileSync(path)
  for (let size = good; size < whole.length; size += 1) {
    writeFileSync(path, whole.subarray(0, size))
    const again = await openAudit(optionsFor(folder))
    again.pull(end)
    again.close()
    const [, second, third] = recordsIn(folder)
    if (size === good) {
      assert.equal(second?.type, 'pull.end')
      continue
    }
    assert.ok(second?.type === 'audit.gap')
    assert.equal(second.detail['bytes'], size - good)
    assert.deepEqual([second.seq, third?.seq, third?.type], [2, 3, 'pull.end'])
  }
})

test('a first line torn at any byte, or NUL bytes of a power cut, leave a file that starts anew', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, AUDIT_FILE)
  for (const left of ['{', '{"seq":1,"time":"2026', '\0'.repeat(4096)]) {
    writeFileSync(path, left)
    const audit = await openAudit(optionsFor(folder))
    audit.close()
    assert.deepEqual(
      recordsIn(folder).map(({ seq, type }) => [seq, type]),
      [[1, 'audit.gap']],
    )
  }
})

test('lines of rubbish after the last record are cut with it, back to that record', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder))
  audit.pull(begin)
  audit.close()
  appendFileSync(join(folder, AUDIT_FILE), '\0\0\0\n{"seq":2,"ti')
  const again = await openAudit(optionsFor(folder))
  again.close()
  assert.deepEqual(
    recordsIn(folder).map(({ type }) => type),
    ['pull.begin', 'audit.gap'],
  )
})

test('a file that is no audit file is refused and left as it is', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, AUDIT_FILE)
  writeFileSync(path, 'my notes\nmore notes\n')
  await assert.rejects(openAudit(optionsFor(folder)), { code: 'AUDIT_UNAVAILABLE', message: /move it away/ })
  assert.equal(readFileSync(path, 'utf8'), 'my notes\nmore notes\n')
})

test('a symbolic link in place of the file is refused', async (t) => {
  const folder = tempFolder(t)
  const elsewhere = join(tempFolder(t), 'victim')
  writeFileSync(elsewhere, '')
  symlinkSync(elsewhere, join(folder, AUDIT_FILE))
  await assert.rejects(openAudit(optionsFor(folder)), { code: 'AUDIT_UNAVAILABLE', message: /symbolic link/ })
})

test('a second daemon may not write in the same folder until the first has closed it', async (t) => {
  const folder = tempFolder(t)
  const first = await openAudit(optionsFor(folder))
  await assert.rejects(openAudit(optionsFor(folder)), { code: 'AUDIT_UNAVAILABLE', message: /another daemon/ })
  first.pull(begin)
  first.close()
  const second = await openAudit(optionsFor(folder))
  second.close()
})

test('a folder that cannot be made is refused with its name and what to do', async (t) => {
  const file = join(tempFolder(t), 'file')
  writeFileSync(file, '')
  for (const folder of [file, join(file, 'below')]) {
    await assert.rejects(openAudit(optionsFor(folder)), (error: Error) => {
      assert.match(error.message, /set audit\.folder to another folder/)
      assert.ok(error.message.includes(folder))
      return true
    })
  }
})

test('a folder that belongs to somebody else is refused with the uid that needs it', async (t) => {
  const folder = tempFolder(t)
  chmodSync(folder, 0o500)
  if (process.geteuid?.() === 0) {
    process.seteuid?.(65_534) // root may write everywhere
  }
  try {
    await assert.rejects(openAudit(optionsFor(folder)), {
      code: 'AUDIT_UNAVAILABLE',
      message: /EACCES: let the user of the daemon \(uid \d+\) write there/,
    })
  } finally {
    process.seteuid?.(process.getuid?.() ?? 0)
  }
})

test('after a rotation the numbers go on in the new file, and over a restart with an empty one', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, AUDIT_FILE)
  const audit = await openAudit(optionsFor(folder))
  audit.pull(begin)
  renameSync(path, `${path}.1`)
  audit.pull(end)
  audit.reopen()
  audit.pull(begin)
  audit.close()
  assert.deepEqual(
    recordsIn(folder, `${AUDIT_FILE}.1`).map(({ seq }) => seq),
    [1, 2],
  )
  assert.deepEqual(
    recordsIn(folder).map(({ seq, type }) => [seq, type]),
    [
      [3, 'audit.reopened'],
      [4, 'pull.begin'],
    ],
  )
  renameSync(path, `${path}-20260504`)
  writeFileSync(path, '')
  const again = await openAudit(optionsFor(folder))
  again.pull(begin)
  again.close()
  assert.equal(recordsIn(folder)[0]?.seq, 5)
})

test('copytruncate under a running daemon leaves no hole in the file', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder))
  audit.pull(begin)
  truncateSync(join(folder, AUDIT_FILE), 0)
  audit.pull(end)
  audit.close()
  assert.deepEqual(
    recordsIn(folder).map(({ seq }) => seq),
    [2],
  )
})

test('an event with a secret in it stops the pull even where gaps are allowed, and writes nothing', async (t) => {
  const folder = tempFolder(t)
  const audit = await openAudit(optionsFor(folder, { whenFull: 'open' }))
  const leaking = { ...end, headers: { authorization: 'Bearer hunter2' } }
  assert.throws(() => audit.pull(leaking), { code: 'INTERNAL' })
  audit.close()
  assert.equal(readFileSync(join(folder, AUDIT_FILE), 'utf8'), '')
})

test('after close nothing is written any more: the descriptor may be that of another file', async (t) => {
  const audit = await openAudit(optionsFor(tempFolder(t)))
  audit.close()
  assert.throws(() => audit.pull(begin), unavailable)
  assert.throws(() => audit.act(act), unavailable)
})
