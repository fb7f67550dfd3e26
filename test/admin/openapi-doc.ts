/** Writes docs/openapi.json: `node test/admin/openapi-doc.ts --write`. openapi.test.ts fails while it is stale. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import { openApiDocument } from '../../src/admin/openapi.ts'

export const openApiPath = join(import.meta.dirname, '../../docs/openapi.json')

export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(packageJson.version), undefined, 2)}\n`
}

if (import.meta.main && process.argv.includes('--write')) await writeFile(openApiPath, openApiText())
