import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { ca, caFile, withRegistry } from './resolving.ts'

describe('loading a file', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-config-'))
  })
  after(() => rm(folder, { recursive: true }))

  async function load(content: string | Buffer): Promise<Config> {
    const path = join(folder, 'config.json')
    await writeFile(path, content)
    return loadConfig(path)
  }
  const refusal = (message: RegExp) => (thrown: unknown) => {
    assert.ok(thrown instanceof ConfigError && thrown.code === 'CONFIG_INVALID')
    assert.match(thrown.message, message)
    return true
  }

  test('reads the authorities that it names', async () => {
    const { registries } = await load(JSON.stringify(withRegistry({ caFile })))
    assert.equal(registries[0]?.ca, ca)
  })

  test('a file that is not there is a problem with its reason', () =>
    assert.rejects(loadConfig(join(folder, 'none.json')), refusal(/none\.json: cannot be read: ENOENT/)))

  test('malformed JSON is told by line and column and never shown', () =>
    assert.rejects(load('{\n  "keychain": hunter2\n}'), (thrown) => {
      refusal(/is not JSON: line 2, column 15: a value is expected here/)(thrown)
      assert.ok(!String(thrown).includes('hunter2') && (thrown as Error).cause === undefined)
      return true
    }))

  test('a key that stands twice is refused, since JSON would keep the last in silence', () =>
    assert.rejects(
      load('{"keychain": {"store": "os"},\n"keychain": {"store": "memory"}}'),
      refusal(/line 2, column 1: .*twice/),
    ))

  test('a file that is not UTF-8, or far too large, is refused', async () => {
    await assert.rejects(load(Buffer.from([0x7b, 0xff, 0x7d])), refusal(/is not UTF-8/))
    await assert.rejects(load(' '.repeat(1024 * 1024 + 1)), refusal(/larger than 1 MiB/))
  })

  test('the error lists all problems, also in its text', () =>
    assert.rejects(load('{"registries": [{}], "keychain": {}}'), (thrown) => {
      refusal(/keychain\.store: is missing; registries\[0\]\.host: is missing/)(thrown)
      assert.equal((thrown as ConfigError).problems.length, 2)
      return true
    }))
})
