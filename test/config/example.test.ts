import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { resolveConfig } from '../../src/config/load.ts'

const root = join(import.meta.dirname, '../..')

test('config.example.json loads', async () => {
  const example = JSON.parse(await readFile(join(root, 'config.example.json'), 'utf8'))
  const ca = await readFile(join(import.meta.dirname, 'ca.pem'), 'utf8')
  // These two are the reader's own and not on this machine.
  const files = new Map([
    ['/etc/regcredd/corp-ca.pem', ca],
    ['/etc/regcredd/kubeconfig', ''],
  ])
  const outcome = resolveConfig(example, (path) => {
    const text = files.get(path)
    assert.ok(text !== undefined, `config.example.json names ${path}, which this test does not know`)
    return text
  })
  assert.ok('config' in outcome, JSON.stringify(outcome))
  assert.equal(outcome.config.keychain.store, 'file')
  assert.deepEqual(
    outcome.config.registries.map(({ name }) => name),
    ['registry.corp.example', 'docker.io'],
  )
  assert.equal(outcome.config.kubernetes?.mirrors[0]?.secretName, 'regcred')
})
