import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { catalogue } from '../../src/errors.ts'
import { errorDocViolations } from './error-docs.ts'
import { root } from './project.ts'

test('docs/errors.md says of every code in the catalogue what it means and what to do, and of no other', async () => {
  assert.deepEqual(errorDocViolations(await readFile(join(root, 'docs/errors.md'), 'utf8'), catalogue), [])
})

const good =
  '# Errors\n\n## Group\n\n### A_B\n404. There is no such thing, as one sees.\n**Do:** look for it elsewhere.\n'
const entries = { A_B: { status: 404 } }

test('a code that is missing, foreign or twice, a wrong status, no meaning and no advice are found', () => {
  assert.deepEqual(errorDocViolations(good, entries), [])
  for (const [markdown, codes, violation] of [
    [good, { ...entries, C: { status: 1 } }, 'C is not documented'],
    [
      `${good}\n### C\n400. Some words about what it means.\n**Do:** something sensible.\n`,
      entries,
      'C is documented and not in the catalogue',
    ],
    [good + good, entries, 'A_B is documented twice'],
    [good.replace('404', '403'), entries, 'A_B is documented with status 403 and has 404'],
    [good.replace('There is no such thing, as one sees.', ''), entries, 'A_B does not say what it means'],
    [good.replace(/\*\*Do:.*/, ''), entries, 'A_B does not say what to do'],
  ] as const) {
    assert.deepEqual(errorDocViolations(markdown, codes), [violation])
  }
})
