import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anchorsOf, deadLinks } from './links.ts'
import { exists, readDocuments } from './project.ts'

test('every relative link and every path that a document names leads somewhere', async () => {
  const documents = await readDocuments()
  assert.ok(documents.has('ARCHITECTURE.md') && documents.has('docs/errors.md'))
  assert.deepEqual(deadLinks(documents, exists), [])
})

const there = new Set(['README.md', 'docs/a.md', 'src/x.ts', 'docs/my file.md'])
const dead = (text: string, from = 'docs/a.md') =>
  deadLinks(
    new Map([
      ['README.md', '# Title\n## Part two: *more*!\n## Twice\n## Twice\n'],
      [from, text],
    ]),
    (path) => there.has(path),
  )

test('links that lead somewhere pass', () => {
  const text =
    '[a](../README.md) [b](../README.md#part-two-more) [c](../README.md#twice-1) [d](#here) [e](https://x.example/y) [f](my%20file.md) `src/x.ts`\n# Here\n'
  assert.deepEqual(dead(text), [])
})

test('links into nothing are found: a file, an anchor, a place outside, an image, a path in code font', () => {
  assert.deepEqual(dead('[a](gone.md)'), ['docs/a.md links to gone.md'])
  assert.deepEqual(dead('[a](../README.md#gone)'), ['docs/a.md links to ../README.md#gone'])
  assert.deepEqual(dead('[a](#gone)'), ['docs/a.md links to #gone'])
  assert.deepEqual(dead('[a](../../README.md)'), ['docs/a.md links to ../../README.md'])
  assert.deepEqual(dead('![a](gone.png "title")'), ['docs/a.md links to gone.png'])
  assert.deepEqual(dead('see `src/gone.ts`'), ['docs/a.md names src/gone.ts'])
})

test('what stands in code is no link', () => assert.deepEqual(dead('`[a](gone.md)`\n```\n[a](gone.md)\n```\n'), []))

test('an anchor is the heading in lower case with its punctuation gone', () => {
  assert.deepEqual(
    [...anchorsOf('# A `b` – c!\n### CREDENTIAL_REFUSED\n## x\n## x\n')],
    ['a-b--c', 'credential_refused', 'x', 'x-1'],
  )
})
