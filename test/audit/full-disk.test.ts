import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AuditRecord } from '../../src/audit/record.ts'
import { tempFolder } from './events.ts'

/** A mount namespace of its own, so that the small disk is gone with the process whatever happens. */
const NAMESPACE = ['unshare', '--mount', ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'])]
/** Runs a command on a small disk that is mounted on $1, and takes the disk away again. */
const ON_SMALL_DISK = `
mount -t tmpfs -o size=256k tmpfs "$1" || exit 71
trap 'umount --lazy "$1"' EXIT
trap 'exit 143' TERM
"$2" "$3" "$1" "$4"`

// unshare(1) makes `/` private first, which fails in a plain chroot, where `/` is no mount point. There, root mounts without it.
const tries = [NAMESPACE, []].map((prefix) => ({ prefix, ...tryMount(prefix) }))
const prefix = tries.find(({ status }) => status === 0)?.prefix
const skip = prefix === undefined ? skipReason() : false

function tryMount(prefix: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'regcredd-disk-'))
  try {
    const [command = '', ...args] = onSmallDisk(prefix, folder, 'true', '', '')
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
    return { status, stderr }
  } finally {
    rmdirSync(folder)
  }
}

function onSmallDisk(prefix: string[], folder: string, ...command: [string, string, string]): string[] {
  return [...prefix, 'sh', '-c', ON_SMALL_DISK, 'sh', folder, ...command]
}

function skipReason(): string {
  const said = tries.map(({ stderr }) => String(stderr).trim()).join('; ')
  const reason = `no tmpfs can be mounted here (needs root, or unprivileged user namespaces): ${said}`
  if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)
  return reason
}

function fillDisk(folder: string, mode: 'closed' | 'open') {
  const child = join(import.meta.dirname, 'full-disk-child.ts')
  const [command = '', ...args] = onSmallDisk(prefix ?? [], folder, process.execPath, child, mode)
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8', timeout: 30_000 }))
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
