import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { build } from 'esbuild'
import packageJson from '../../package.json' with { type: 'json' }
import { parseImportTable } from './import-table.ts'
import { readSources, root } from './project.ts'
import { roomViolations } from './rooms.ts'
import { importsOf, reveals } from './source-imports.ts'

const rows = parseImportTable(await readFile(join(root, 'ARCHITECTURE.md'), 'utf8'))
const sources = await readSources()

describe('the sources', () => {
  test('import and reveal what the table of ARCHITECTURE.md allows, and nothing that it allows is idle', () => {
    assert.deepEqual(roomViolations(rows, sources), [])
  })

  test('use only libraries that package.json has', () => {
    const known = Object.keys({ ...packageJson.dependencies, ...packageJson.optionalDependencies })
    assert.deepEqual(
      rows.flatMap(({ libraries }) => libraries).filter((library) => !known.includes(library)),
      [],
    )
  })

  test('hold no import that esbuild sees and the scanner does not', async () => {
    const missed: string[] = []
    await build({
      entryPoints: [...sources.keys()].filter((path) => path.endsWith('.ts')).map((path) => join(root, 'src', path)),
      bundle: true,
      write: false,
      outdir: 'unused',
      platform: 'node',
      format: 'esm',
      logLevel: 'silent',
      plugins: [
        {
          name: 'compare',
          setup(builder) {
            builder.onResolve({ filter: /.*/ }, ({ path, importer, kind }) => {
              if (kind === 'entry-point') return undefined
              const text = sources.get(importer.slice(join(root, 'src/').length)) ?? ''
              if (!importsOf(text).some(({ specifier }) => specifier === path)) missed.push(`${importer}: ${path}`)
              return { path, external: true }
            })
          },
        },
      ],
    })
    assert.deepEqual(missed, [])
  })
})

describe('the check of the rooms', () => {
  const table = (text: string) =>
    parseImportTable(`| room | imports | libraries | reveals |\n|---|---|---|---|\n${text}`)
  const good = table('| a | b, c.ts | lib, @s/lib | a/x.ts |\n| b | c.ts | | |\n| c.ts | | | |\n| secret.ts | | | |')
  const files = {
    'a/x.ts':
      "import type { B } from '../b/y.ts'\nimport { c } from '../c.ts'\nimport 'lib/sub'\nimport s from '@s/lib'\nx.reveal()",
    'b/y.ts': "import { join } from 'node:path'\nexport { c } from '../c.ts'",
    'c.ts': 'export const c = 1',
    'secret.ts': 'reveal(): string',
  }
  const violations = (changed: Record<string, string>, rowsToo = good) =>
    roomViolations(rowsToo, new Map(Object.entries({ ...files, ...changed })))

  test('finds nothing in what keeps to the table', () => assert.deepEqual(violations({}), []))

  for (const [what, changed, violation] of [
    [
      'an import that is not allowed',
      { 'c.ts': "import { b } from './b/y.ts'" },
      'src/c.ts imports b/y.ts, which c.ts may not',
    ],
    [
      'an import of a type',
      { 'b/z.ts': "import type { A } from '../a/x.ts'" },
      'src/b/z.ts imports a/x.ts, which b may not',
    ],
    [
      'an import over several lines',
      { 'b/z.ts': "import {\n  a,\n  aa,\n} from '../a/x.ts'" },
      'src/b/z.ts imports a/x.ts, which b may not',
    ],
    ['a re-export', { 'b/z.ts': "export * from '../a/x.ts'" }, 'src/b/z.ts imports a/x.ts, which b may not'],
    [
      'a dynamic import',
      { 'b/z.ts': "const a = await import(\n  '../a/x.ts'\n)" },
      'src/b/z.ts imports a/x.ts, which b may not',
    ],
    [
      'a type import in place',
      { 'b/z.ts': "let a: import('../a/x.ts').A" },
      'src/b/z.ts imports a/x.ts, which b may not',
    ],
    [
      'a process that is started',
      { 'b/z.ts': "fork(new URL('../a/x.ts', import.meta.url))" },
      'src/b/z.ts imports a/x.ts, which b may not',
    ],
    ['a computed import', { 'b/z.ts': 'await import(name)' }, 'src/b/z.ts imports what no table can judge: import(n'],
    [
      'a library of another room',
      { 'b/z.ts': "import { l } from 'lib'" },
      'src/b/z.ts imports the library lib, which b does not own',
    ],
    [
      'a library by require',
      { 'b/z.ts': "createRequire(import.meta.url)\nconst l = require('@s/lib')" },
      'src/b/z.ts imports the library @s/lib, which b does not own',
    ],
    [
      'a file that is not there',
      { 'b/z.ts': "import './gone.ts'" },
      'src/b/z.ts imports ./gone.ts, which is not there',
    ],
    [
      'a file outside src',
      { 'b/z.ts': "import '../../test/x.ts'" },
      'src/b/z.ts imports ../../test/x.ts, which is not there',
    ],
    ['a room that is not in the table', { 'd/z.ts': '' }, 'src/d is not in the table'],
    ['a call of reveal()', { 'a/z.ts': 'secret.reveal()' }, 'src/a/z.ts calls reveal() and may not'],
    ['a reveal() by key', { 'a/z.ts': "secret['reveal']()" }, 'src/a/z.ts calls reveal() and may not'],
    [
      'a permission to reveal that is idle',
      { 'a/x.ts': files['a/x.ts'].replace('x.reveal()', '') },
      'the table lets a/x.ts call reveal(), and it does not',
    ],
    ['a permission to import that is idle', { 'b/y.ts': '' }, 'the table lets b import c.ts, and it does not'],
    [
      'a library that is idle',
      { 'a/x.ts': files['a/x.ts'].replace("import 'lib/sub'", '') },
      'the table gives a the library lib, and it does not use it',
    ],
  ] as const) {
    test(`finds ${what}`, () => assert.deepEqual(violations(changed), [violation]))
  }

  test('finds a row whose room is gone, a row that stands twice, and a circle', () => {
    assert.deepEqual(violations({}, [...good, ...table('| e | | | |')]), ['the table has e, which is not there'])
    assert.deepEqual(violations({}, [...good, ...table('| c.ts | | | |')]), ['c.ts stands in the table twice'])
    const circle = table(
      '| a | b, c.ts | lib, @s/lib | a/x.ts |\n| b | c.ts, a | | |\n| c.ts | | | |\n| secret.ts | | | |',
    )
    assert.deepEqual(violations({ 'b/z.ts': "import '../a/x.ts'" }, circle), [
      'by the table a may import itself through others',
      'by the table b may import itself through others',
    ])
  })

  test('a permission for a single file is none for its room', () => {
    const narrow = table(
      '| a | b/y.ts, c.ts | lib, @s/lib | a/x.ts |\n| b | c.ts | | |\n| c.ts | | | |\n| secret.ts | | | |',
    )
    assert.deepEqual(violations({}, narrow), [])
    assert.deepEqual(violations({ 'b/z.ts': '', 'a/z.ts': "import '../b/z.ts'" }, narrow), [
      'src/a/z.ts imports b/z.ts, which a may not',
    ])
  })

  test('a table with a torn row is refused', () => {
    assert.throws(() => table('| a | b |'), /has not four cells/)
    assert.throws(() => parseImportTable('# No table'), /no table/)
  })

  test('what only comments say is no import and no call', () => {
    const comment = "/**\n * import('x'), secret.reveal()\n */\n// import './x.ts'"
    assert.deepEqual([importsOf(comment), reveals(comment)], [[], false])
  })
})
