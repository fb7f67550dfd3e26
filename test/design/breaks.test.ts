import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { breaks } from '../sabotage/breaks.ts'
import { root } from './project.ts'

const texts = new Map<string, Promise<string>>()

function read(file: string): Promise<string> {
  const text = texts.get(file) ?? readFile(join(root, file), 'utf8')
  texts.set(file, text)
  return text
}

// `npm run sabotage` takes minutes; that it has something to break is seen here, in every run.
test('every break has its line, once, and a file of tests', async () => {
  const lost: string[] = []
  for (const { name, file, line, testFile } of breaks) {
    const places = (await read(file)).split('\n').filter((one) => one.trim() === line.trim()).length
    if (places !== 1) lost.push(`${name}: its line stands ${places} times in ${file}`)
    if ((await read(testFile)) === '') lost.push(`${name}: ${testFile} is empty`)
  }
  assert.deepEqual(lost, [])
  assert.equal(new Set(breaks.map(({ name }) => name)).size, breaks.length, 'two breaks have one name')
})
