import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../src/config/config.ts'
import { resolveConfig } from '../../src/config/load.ts'
import { problemLine } from '../../src/config/problem.ts'

export const caFile = join(import.meta.dirname, 'ca.pem')
export const ca = await readFile(caFile, 'utf8')
export const files: Record<string, string> = {
  '/ca.pem': ca,
  '/two.pem': `${ca}\n${ca}`,
  '/key.pem': `${ca}-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----\n`,
  '/broken.pem': ca.replace('MIIB', 'AAAA'),
  '/empty.pem': '',
  '/kubeconfig': 'apiVersion: v1\n',
}

export function readFrom(path: string): string {
  const text = files[path]
  if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
  return text
}

export function config(parsed: unknown): Config {
  const outcome = resolveConfig(parsed, readFrom)
  assert.ok('config' in outcome, JSON.stringify(outcome))
  return outcome.config
}

export function problems(parsed: unknown): string[] {
  const outcome = resolveConfig(parsed, readFrom)
  return 'problems' in outcome ? outcome.problems.map(problemLine) : []
}

export const memory = { store: 'memory' }
export const withRegistry = (entry: object) => ({
  registries: [{ host: 'reg.example.com', ...entry }],
  keychain: memory,
})
export const withMirrors = (...mirrors: object[]) => ({
  registries: [{ host: 'reg.example.com' }, { host: 'docker.io' }],
  keychain: memory,
  kubernetes: { kubeconfig: '/kubeconfig', mirrors },
})
