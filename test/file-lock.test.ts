import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { lockFile } from '../src/file-lock.ts'
import { tempFolder } from './keychain/temp-folder.ts'

const source = join(import.meta.dirname, '../src/file-lock.ts')
/** Whether another process gets the lock. */
async function isFree(path: string): Promise<boolean> {
  const script = `import { lockFile } from ${JSON.stringify(source)}; console.log(lockFile(${JSON.stringify(path)}, 0o600) !== undefined)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  return stdout.trim() === 'true'
}

test('a second try of the same process is refused, and does not cost the first its lock', async (t) => {
  const path = join(await tempFolder(t), 'lock')
  const unlock = lockFile(path, 0o600)
  assert.ok(unlock !== undefined)
  assert.equal(await isFree(path), false)
  assert.equal(lockFile(path, 0o600), undefined)
  assert.equal(await isFree(path), false)
  unlock()
  assert.equal(await isFree(path), true)
})
