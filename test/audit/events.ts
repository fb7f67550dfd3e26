import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { AuditRecord, PullBegin, PullEnd } from '../../src/audit/record.ts'
import { AUDIT_FILE, type AuditOptions } from '../../src/audit/writer.ts'

export const begin: PullBegin = {
  type: 'pull.begin',
  id: 'r-1',
  peer: '127.0.0.1',
  caller: 'token',
  method: 'GET',
  registry: 'registry.corp.example',
  repository: 'team/app',
  kind: 'manifest',
  reference: '1',
}

export const end: PullEnd = {
  type: 'pull.end',
  id: 'r-1',
  registry: 'registry.corp.example',
  repository: 'team/app',
  kind: 'manifest',
  reference: '1',
  digest: `sha256:${'a'.repeat(64)}`,
  status: 200,
  bytes: 1234,
  complete: true,
  durationMs: 12.5,
  credential: 'registry.corp.example',
  version: 'v1',
  upstream: 'https://registry.corp.example',
  code: undefined,
}

export const clock = () => new Date('2026-05-04T03:02:01.000Z')

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'regcredd-audit-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function optionsFor(folder: string, more: Partial<AuditOptions> = {}): AuditOptions {
  return { folder, node: 'node-1', clock, whenFull: 'closed', ...more }
}

export function recordsIn(folder: string, name = AUDIT_FILE): AuditRecord[] {
  const lines = readFileSync(join(folder, name), 'utf8').split('\n')
  if (lines.pop() !== '') throw new Error('the file does not end in a newline')
  return lines.map((line) => JSON.parse(line))
}
