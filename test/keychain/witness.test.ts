import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openWitness } from '../../src/keychain/witness.ts'
import { tempFolder } from './temp-folder.ts'

const never = () => assert.fail('there is no fault')

test('what was seen under a service name is remembered, and under no other', async (t) => {
  const path = join(await tempFolder(t), 'keychain.seen')
  const first = await openWitness(path, 'regcredd', never)
  assert.equal(first.hasSeen, false)
  await first.saw()
  await first.saw()
  assert.deepEqual([first.hasSeen, (await openWitness(path, 'regcredd', never)).hasSeen], [true, true])
  assert.equal((await openWitness(path, 'another', never)).hasSeen, false)
  assert.equal((await stat(path)).mode & 0o7777, 0o600)
  await writeFile(path, 'something else')
  const again = await openWitness(path, 'regcredd', never)
  assert.equal(again.hasSeen, false)
  await again.saw()
  assert.match(await readFile(path, 'utf8'), /"service":"regcredd"/)
})

test('a witness that cannot be written says so once and lets reading go on', async () => {
  const faults: unknown[] = []
  const witness = await openWitness('/nonexistent/keychain.seen', 'regcredd', (thrown) => faults.push(thrown))
  await witness.saw()
  await witness.saw()
  assert.deepEqual([witness.hasSeen, faults.length], [false, 1])
})
