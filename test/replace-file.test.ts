import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { replaceFile } from '../src/replace-file.ts'
import { tempFolder } from './keychain/temp-folder.ts'

it('a replaced file has the new text and mode 0600, whatever the old one had', async (t) => {
  const folder = await tempFolder(t)
  const path = join(folder, 'file')
  await writeFile(path, 'old', { mode: 0o644 })
  await replaceFile(path, 'new')
  assert.equal(await readFile(path, 'utf8'), 'new')
  assert.equal((await stat(path)).mode & 0o7777, 0o600)
  assert.deepEqual(await readdir(folder), ['file'])
})

it('a failed replacement leaves no temporary file behind', async (t) => {
  const folder = await tempFolder(t)
  await mkdir(join(folder, 'file'))
  await assert.rejects(replaceFile(join(folder, 'file'), 'new'), { code: 'EISDIR' })
  assert.deepEqual(await readdir(folder), ['file'])
})

it('a reader beside many replacements sees only whole texts', async (t) => {
  const path = join(await tempFolder(t), 'file')
  const texts = ['a', 'b'].map((letter) => letter.repeat(100_000))
  await replaceFile(path, 'a'.repeat(100_000))
  let writing = true
  const readers = (async () => {
    while (writing) assert.ok(texts.includes(await readFile(path, 'utf8')))
  })()
  for (let round = 0; round < 20; round += 1) await replaceFile(path, texts[round % 2] ?? '')
  writing = false
  await readers
})
