import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AuditRecord } from '../../src/audit/record.ts'
import { inMountNamespace, mountSmallDisk, skipWithoutSmallDisk } from '../helpers/small-disk.ts'
import { tempFolder } from './events.ts'

const skip = skipWithoutSmallDisk()

function fillDisk(folder: string, mode: 'closed' | 'open' | 'together') {
  const mountAndRun = `${mountSmallDisk.join(' ')} "$1" && exec "$2" "$3" "$1" "$4"`
  const child = join(import.meta.dirname, 'full-disk-child.ts')
  const [command = '', ...args] = [...inMountNamespace, 'sh', '-c', mountAndRun, 'sh', folder]
  const told = execFileSync(command, [...args, process.execPath, child, mode], { encoding: 'utf8', timeout: 120_000 })
  return JSON.parse(told)
}

function parse(text: string): AuditRecord[] {
  assert.ok(text.endsWith('\n'), 'the file ends in a whole line')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

function assertNumbered(records: AuditRecord[]): void {
  assert.deepEqual(
    records.map(({ seq }) => seq),
    records.map((_, index) => index + 1),
  )
}

test('on a full disk pulls and acts are refused, the file ends in a whole record, and room heals it', { skip }, (t) => {
  const { full, recovered, text } = fillDisk(tempFolder(t), 'closed')
  assert.ok(full.written > 50)
  assert.equal(parse(full.text).length, full.written)
  assert.deepEqual([full.pull, full.act, full.event], ['AUDIT_UNAVAILABLE', 'AUDIT_UNAVAILABLE', 'ok'])
  assert.deepEqual([full.check.writable, full.check.code], [false, 'ENOSPC'])

  assert.deepEqual([recovered.check, recovered.pull], [{ writable: true }, 'ok'])
  const records = parse(text)
  assertNumbered(records)
  const gap = records[full.written]
  assert.ok(gap?.type === 'audit.gap')
  assert.deepEqual([gap.detail['missing'], gap.detail['code'], gap.detail['pulls']], [4, 'ENOSPC', 'refused'])
  assert.equal(records.length, full.written + 2)
})

test('with whenFull "open" pulls go on over a full disk, acts do not, and the gap is recorded', { skip }, (t) => {
  const { full, recovered, text } = fillDisk(tempFolder(t), 'open')
  assert.equal(parse(full.text).length, full.written)
  assert.deepEqual([full.pull, full.act, full.event], ['ok', 'AUDIT_UNAVAILABLE', 'ok'])
  assert.deepEqual(full.faults.at(-1), { code: 'ENOSPC', lost: 1, missing: 4 })
  assert.equal(full.faults.length, 4)

  assert.equal(recovered.pull, 'ok')
  assert.equal(recovered.recoveries[0].missing, 4)
  const records = parse(text)
  assertNumbered(records)
  const gap = records[full.written]
  assert.ok(gap?.type === 'audit.gap')
  assert.deepEqual([gap.detail['missing'], gap.detail['pulls']], [4, 'served'])
})

test('of records that are written together those that the disk has room for are written and the others refused, each once', {
  skip,
}, (t) => {
  const { full, recovered, text } = fillDisk(tempFolder(t), 'together')
  const refused = full.together.filter((status: string) => status === 'rejected').length
  assert.ok(refused >= 1 && full.written > 50)
  assert.equal(parse(full.text).length, full.written)
  assert.equal(recovered.pull, 'ok')
  const records = parse(text)
  assertNumbered(records)
  const gap = records[full.written]
  assert.ok(gap?.type === 'audit.gap')
  // Beside them: a pull, an act and an event that the test tried on the full disk.
  assert.equal(gap.detail['missing'], refused + 3)
})
