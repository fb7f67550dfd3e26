/** The project's own files, as the checks of the design read them. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** Path below src/ → text, of every file there. */
export async function readSources(): Promise<Map<string, string>> {
  const src = join(root, 'src')
  const entries = await readdir(src, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return new Map(
    await Promise.all(paths.map(async (path) => [relative(src, path), await readFile(path, 'utf8')] as const)),
  )
}

/** Path below the root → text, of the documents that people read. */
export async function readDocuments(): Promise<Map<string, string>> {
  const docs = (await readdir(join(root, 'docs'))).map((name) => `docs/${name}`)
  const names = [...docs, ...(await readdir(root))].filter((name) => name.endsWith('.md'))
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(root, name), 'utf8')] as const)),
  )
}

export function exists(path: string): boolean {
  return existsSync(join(root, path))
}
