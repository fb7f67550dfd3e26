/** Writes docs/config.md from the schema: `node test/config/config-doc.ts --write`. config-doc.test.ts fails while the two differ. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configJsonSchema, type SchemaNode } from '../../src/config/form.ts'

export const configDocPath = join(import.meta.dirname, '../../docs/config.md')

type Row = { key: string; type: string; fallback: string; meaning: string }

const intro = `# Configuration

<!-- Generated from src/config/schema.ts by \`node test/config/config-doc.ts --write\`. -->

One JSON file, \`/etc/regcredd/config.json\` unless \`--config\` or \`REGCREDD_CONFIG\` names another; \`config.example.json\` is a start.
\`regcredd config check [FILE]\` tells everything that is wrong with it, each problem with its path, and exits 78; the daemon does the same and does not start.

- Unknown keys, keys that stand twice, comments and trailing commas are refused. A key that has a default may be left out; \`null\` is no value.
- Paths are absolute. Files that the configuration names are read at the start.
- Hosts are compared in one spelling: lower case, no trailing dot, no \`:443\`; \`index.docker.io\`, \`registry-1.docker.io\` and \`registry.hub.docker.com\` are \`docker.io\`.
- The file holds no secret. A password in it is refused as an unknown key, and no problem report shows a value of the file.
- A change takes force at the next start.
`

/** The whole of docs/config.md. */
export function renderConfigDoc(schema: SchemaNode): string {
  const sections = Object.entries(schema.properties ?? {})
  const isSection = (node: SchemaNode) =>
    node.properties !== undefined || node.items !== undefined || node.oneOf !== undefined
  const top = sections.map(([name, node]) => row(name, node, schema.required))
  const parts = sections.filter(([, node]) => isSection(node)).map(([name, node]) => section(name, node))
  return `${[intro, '## The file', '', table(top), '', ...parts].join('\n').trimEnd()}\n`
}

/** Every key of the file with its path, as in the tables. */
export function configKeys(node: SchemaNode, path = ''): string[] {
  const items = node.items === undefined ? [] : configKeys(node.items, `${path}[]`)
  const choices = (node.oneOf ?? []).flatMap((choice) => configKeys(choice, path))
  const keys = Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const key = path === '' ? name : `${path}.${name}`
    return [key, ...configKeys(child, key)]
  })
  return [...new Set([...keys, ...items, ...choices])]
}

function section(name: string, node: SchemaNode): string {
  if (node.oneOf !== undefined) {
    const choices = node.oneOf.map((choice) => {
      const store = choice.properties?.['store']
      return [
        `### ${name}, store \`${store?.const}\``,
        '',
        store?.description ?? '',
        '',
        table(rowsOf(choice, name)),
        '',
      ].join('\n')
    })
    return [`## ${name}`, '', node.description ?? '', '', ...choices].join('\n')
  }
  const inner = node.items ?? node
  const path = node.items === undefined ? name : `${name}[]`
  return [
    `## ${path}`,
    '',
    ...(node.description === undefined ? [] : [node.description, '']),
    table(rowsOf(inner, path)),
    '',
  ].join('\n')
}

function rowsOf(node: SchemaNode, path: string): Row[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const key = `${path}.${name}`
    const inside = child.items?.properties === undefined ? rowsOf(child, key) : rowsOf(child.items, `${key}[]`)
    return [row(key, child, node.required), ...inside]
  })
}

function row(key: string, node: SchemaNode, required: string[] = []): Row {
  const isRequired = required.includes(key.slice(key.lastIndexOf('.') + 1))
  const fallback = node.properties === undefined && node.default !== undefined ? code(node.default) : ''
  return { key, type: typeOf(node), fallback: isRequired ? '**required**' : fallback, meaning: node.description ?? '' }
}

function typeOf(node: SchemaNode): string {
  if (node.const !== undefined) return code(node.const)
  if (node.enum !== undefined) return node.enum.map(code).join(' or ')
  if (node.items !== undefined)
    return node.items.properties === undefined ? `list of ${typeOf(node.items)}s` : 'list of objects'
  if (node.oneOf !== undefined || node.properties !== undefined) return 'object'
  return node.type === 'integer' ? `whole number, ${node.minimum} to ${node.maximum}` : (node.type ?? 'any')
}

function code(value: unknown): string {
  return `\`${JSON.stringify(value)}\``
}

function table(rows: Row[]): string {
  const lines = rows.map(
    ({ key, type, fallback, meaning }) => `| \`${key}\` | ${type} | ${fallback} | ${meaning.replaceAll('|', '\\|')} |`,
  )
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...lines].join('\n')
}

if (import.meta.main) {
  const wanted = renderConfigDoc(configJsonSchema())
  if (process.argv.includes('--write')) await writeFile(configDocPath, wanted)
  else if ((await readFile(configDocPath, 'utf8')) !== wanted) {
    console.error('docs/config.md is stale: node test/config/config-doc.ts --write')
    process.exitCode = 1
  }
}
