import assert from 'node:assert/strict'
import type { AuditRecord } from '../../src/audit/record.ts'
import type { Cell } from '../../src/cli/table.ts'
import { REPOSITORY, TAG } from './registry.ts'
import type { Scene, Stand } from './scene.ts'

/** Lines of the table: a pull with what it was pulled with, or an act. */
type Row = { time: string; who: string; what: string; version: string; outcome: string; count: number }

/** Who pulled what, when, with which version of the credential. */
export async function showAudit({ screen }: Scene, { daemon, digest }: Stand): Promise<void> {
  screen.heading('6. The audit: who pulled what, when, with which version of the password')
  const records = await daemon.audit()
  const rows = merge(records.flatMap((record) => rowOf(record, records) ?? []))
  await screen.step('reading the audit', () => {
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, place) => place + 1),
      'numbers are missing',
    )
    const pulls = records.filter(isImagePull)
    const versions = new Set(pulls.flatMap((record) => (record.status === 200 ? (record.version ?? []) : [])))
    assert.deepEqual(versions, new Set(['v1', 'v2']))
    assert.ok(pulls.every((record) => record.digest === digest || record.status !== 200))
    return `${records.length} records without a gap in audit.jsonl, one JSON line each; the pulls and acts in them:`
  })
  screen.table(
    ['TIME', 'WHO', 'WHAT', 'VERSION', 'OUTCOME', ''],
    rows.map(({ time, who, what, version, outcome, count }): Cell[] => [
      time.slice(11, 23),
      who,
      what,
      version,
      { text: outcome, tone: /^(ok$|200)/.test(outcome) ? 'green' : 'yellow' },
      count > 1 ? `× ${count}` : '',
    ]),
  )
  screen.note('Equal lines in a row are counted together, under the time of the first.')
}

type PullEnd = Extract<AuditRecord, { type: 'pull.end' }>

/** A pull of an image begins with one request for the manifest of a tag; its blobs have records of their own. */
function isImagePull(record: AuditRecord): record is PullEnd {
  return record.type === 'pull.end' && record.kind === 'manifest' && record.reference === TAG
}

function rowOf(record: AuditRecord, records: AuditRecord[]): Row | undefined {
  const { time } = record
  if (isImagePull(record)) {
    const begin = records.find((one) => one.type === 'pull.begin' && one.id === record.id)
    const who = begin?.type === 'pull.begin' ? `caller by ${begin.caller}` : '?'
    const outcome = `${record.status} ${record.digest?.slice(0, 15) ?? ''}`.trim()
    return {
      time,
      who,
      what: `pull ${REPOSITORY}:${record.reference}`,
      version: record.version ?? '-',
      outcome,
      count: 1,
    }
  }
  if (record.type !== 'admin.outcome') return undefined
  const { actor, action, outcome = '', detail } = record
  const who = actor.via === 'daemon' ? 'the daemon' : `${actor.name ?? 'somebody'}, admin.sock`
  const version = detail?.['version'] ?? versionOf(detail?.['rotation'], records)
  const code = detail?.['code'] === undefined ? '' : ` ${detail['code']}`
  return { time, who, what: action, version: String(version ?? '-'), outcome: `${outcome}${code}`, count: 1 }
}

/** An abort names its rotation only; the start of it names the version. */
function versionOf(rotation: unknown, records: AuditRecord[]): unknown {
  const start = records.find(
    (one) => one.type === 'admin.outcome' && one.action === 'rotation.start' && one.detail?.['rotation'] === rotation,
  )
  return start?.type === 'admin.outcome' ? start.detail?.['version'] : undefined
}

function merge(rows: Row[]): Row[] {
  const merged: Row[] = []
  for (const row of rows) {
    const last = merged.at(-1)
    const same = last !== undefined && keyOf(last) === keyOf(row)
    if (same) last.count += 1
    else merged.push({ ...row })
  }
  return merged
}

function keyOf({ who, what, version, outcome }: Row): string {
  return JSON.stringify([who, what, version, outcome])
}
