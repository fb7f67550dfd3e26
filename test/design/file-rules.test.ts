import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileViolations } from './file-rules.ts'
import { readSources } from './project.ts'

const violations = (path: string, text = 'export const a = 1\n') => fileViolations(new Map([[path, text]]))

test('every file under src is named for what it holds, holds something, and has at most 250 lines', async () => {
  assert.deepEqual(fileViolations(await readSources()), [])
})

test('a file of 250 lines passes and one of 251 does not', () => {
  assert.deepEqual(violations('a/b.ts', 'x\n'.repeat(250)), [])
  assert.deepEqual(violations('a/b.ts', 'x\n'.repeat(251)), [
    'src/a/b.ts has 251 lines, more than 250: which two things live there?',
  ])
})

test('names that say nothing, and names that are not in kebab-case, are found', () => {
  for (const path of ['utils.ts', 'a/util.ts', 'a/helpers/b.ts', 'helper.ts', 'a/types.ts', 'a/index.ts']) {
    assert.deepEqual(violations(path), [`src/${path} has a name that says nothing`])
  }
  for (const path of ['a/Foo.ts', 'a/foo_bar.ts', 'a/foo.js', 'aB/c.ts']) {
    assert.deepEqual(violations(path), [`src/${path} is not named in kebab-case and .ts`])
  }
  for (const path of ['keychain/os-helper.ts', 'a/index-file.ts', 'mutils.ts']) assert.deepEqual(violations(path), [])
})

test('a file that only re-exports is found, under any name', () => {
  const barrel = "// all of it\nexport * from './b.ts'\nexport type { C, D } from './c.ts'\n"
  assert.deepEqual(violations('a/all.ts', barrel), ['src/a/all.ts only passes on what others hold'])
  assert.deepEqual(violations('a/all.ts', `${barrel}export const e = 1\n`), [])
})
