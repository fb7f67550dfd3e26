import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { z } from 'zod'
import { configJsonSchema, type SchemaNode } from '../../src/config/form.ts'
import { configDocPath, configKeys, renderConfigDoc } from './config-doc.ts'

test('docs/config.md says of every key what the schema says', async () => {
  const doc = await readFile(configDocPath, 'utf8')
  assert.equal(doc, renderConfigDoc(configJsonSchema()), 'stale: node test/config/config-doc.ts --write')
})

test('docs/config.md has a row for every key, and every row a meaning', async () => {
  const rows = (await readFile(configDocPath, 'utf8')).split('\n').filter((line) => line.startsWith('| `'))
  const cells = rows.map((line) => line.split(' | '))
  const documented = new Set(cells.map(([key]) => key?.replaceAll(/[|` ]/g, '')))
  const missing = configKeys(configJsonSchema()).filter((key) => !documented.has(key))
  assert.deepEqual(missing, [])
  assert.deepEqual(
    cells.filter((row) => (row.at(-1) ?? '').replace('|', '').trim() === '').map(([key]) => key),
    [],
  )
})

test('a key that is added to the schema, deep inside too, makes the document stale', () => {
  const before = z.strictObject({ list: z.array(z.strictObject({ known: z.string().describe('Known.') })) })
  const after = z.strictObject({
    list: z.array(
      z.strictObject({
        known: z.string().describe('Known.'),
        added: z.int().min(1).max(9).default(3).describe('New.'),
      }),
    ),
  })
  const [was, is] = [before, after].map((schema) => z.toJSONSchema(schema, { io: 'input' }) as SchemaNode)
  assert.ok(was !== undefined && is !== undefined)
  assert.notEqual(renderConfigDoc(is), renderConfigDoc(was))
  assert.match(renderConfigDoc(is), /\| `list\[\]\.added` \| whole number, 1 to 9 \| `3` \| New\. \|/)
  assert.deepEqual(configKeys(is), ['list', 'list[].known', 'list[].added'])
})
