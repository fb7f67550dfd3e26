import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { breaks } from '../../sabotage/breaks.ts'

const FORTY = Array.from({ length: 40 }, (_, place) => place + 1)

test('each of the forty nasty cases has a test on real sockets', async () => {
  const folder = new URL('.', import.meta.url)
  const files = (await readdir(folder)).filter((name) => name.endsWith('.test.ts'))
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
  const named = new Set(texts.join('').match(/(?<=['`]case )\d+(?=: )/g))
  assert.deepEqual(
    FORTY.filter((number) => !named.has(String(number))),
    [],
  )
})

test('each of the forty has a break that its test must notice', () => {
  const broken = new Set(breaks.map(({ name }) => /^case (\d+): /.exec(name)?.[1]))
  assert.deepEqual(
    FORTY.filter((number) => !broken.has(String(number))),
    [],
  )
})
