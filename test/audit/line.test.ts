import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromLine, toLine } from '../../src/audit/line.ts'
import type { AdminAct, AuditEvent } from '../../src/audit/record.ts'
import { Secret } from '../../src/secret.ts'
import { begin, end } from './events.ts'

const stamp = { seq: 7, time: '2026-05-04T03:02:01.000Z', node: 'node-1' }
const act: AdminAct = {
  type: 'admin.intent',
  id: 'a-1',
  actor: { via: 'admin-socket', name: 'root' },
  action: 'credential.put',
  target: 'registry.corp.example',
  outcome: undefined,
  detail: { versions: 2 },
}
const internal = { code: 'INTERNAL' }

test('a record is one line of JSON that begins with its number and leaves out what is absent', () => {
  const line = toLine(end, stamp)
  assert.ok(line.startsWith('{"seq":7,"time":"2026-05-04T03:02:01.000Z","node":"node-1","type":"pull.end",'))
  assert.equal(line.indexOf('\n'), line.length - 1)
  assert.equal('code' in JSON.parse(line), false)
})

test('a key that the event does not have is refused, wherever it stands', () => {
  const extra = { ...begin, authorization: 'Basic Y2k6aHVudGVyMg==' } as AuditEvent
  assert.throws(() => toLine(extra, stamp), internal)
  const inActor = { ...act, actor: { ...act.actor, token: 'x' } } as AuditEvent
  assert.throws(() => toLine(inActor, stamp), internal)
})

test('a value that is not of its type is refused: no object, no Secret, no NaN', () => {
  const bad: object[] = [
    { ...begin, reference: new Secret('hunter2') },
    { ...begin, repository: undefined },
    { ...end, bytes: Number.NaN },
    { ...end, status: '200' },
    { ...act, detail: { login: new Secret('hunter2') } },
    { ...act, detail: { login: { password: 'hunter2' } } },
    { ...act, detail: { 'a key': 1 } },
    { ...begin, type: 'toString' },
  ]
  for (const event of bad) assert.throws(() => toLine(event as AuditEvent, stamp), internal)
})

test('upstream is an origin, so that no path, query or user name of a redirect can stand there', () => {
  for (const upstream of ['https://s3.example/blob?sig=x', 'https://u:p@s3.example', 'https://s3.example/']) {
    assert.throws(() => toLine({ ...end, upstream }, stamp), internal)
  }
  for (const upstream of ['https://s3.example', 'http://127.0.0.1:5000', 'https://[::1]:5000', undefined]) {
    toLine({ ...end, upstream }, stamp)
  }
})

test('the message of a refused event does not repeat its values', () => {
  const extra = { ...begin, hunter2: 'hunter2' } as AuditEvent
  assert.throws(
    () => toLine(extra, stamp),
    (error: Error) => !error.message.includes('hunter2'),
  )
})

test('any text gives one printable line, bounded, that reads back as a record', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), (reference) => {
      const line = toLine({ ...begin, reference }, stamp)
      assert.ok(line.length < 8000)
      assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/)
      const record = fromLine(line.slice(0, -1))
      assert.ok(record?.type === 'pull.begin')
      if (reference.length <= 1024) assert.equal(record.reference, reference)
    }),
  )
})

test('a line that is no record reads as none', () => {
  for (const line of ['', '{"seq":', '{"seq":0,"type":"pull.begin"}', '{"seq":1,"type":"other"}', '\0\0', 'null']) {
    assert.equal(fromLine(line), undefined)
  }
})
