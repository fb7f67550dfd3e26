import { isBuiltin } from 'node:module'
import type { Row } from './import-table.ts'
import { type Import, importsOf, resolveWithin, reveals } from './source-imports.ts'

export type Sources = Map<string, string>

/** What every file may import whatever its room, besides Node's own modules. */
const EVERYWHERE = new Set(['../package.json'])

/** The room of a path below src/: its first folder, or the file itself. */
export function roomOf(path: string): string {
  return path.split('/')[0] ?? path
}

/** Everything in which `sources` (path below src/ → text) and the table disagree, one sentence each. */
export function roomViolations(rows: Row[], sources: Sources): string[] {
  const table = new Map(rows.map((row) => [row.room, row]))
  const rooms = new Set([...sources.keys()].map(roomOf))
  return [
    ...duplicates(rows.map(({ room }) => room)).map((room) => `${room} stands in the table twice`),
    ...[...rooms].filter((room) => !table.has(room)).map((room) => `src/${room} is not in the table`),
    ...[...table.keys()].filter((room) => !rooms.has(room)).map((room) => `the table has ${room}, which is not there`),
    ...[...sources].flatMap(([path, text]) => fileViolations(table.get(roomOf(path)), path, text, sources)),
    ...rows.filter(({ room }) => rooms.has(room)).flatMap((row) => idlePermissions(row, sources)),
    ...cycles(table),
  ]
}

function fileViolations(row: Row | undefined, path: string, text: string, sources: Sources): string[] {
  if (row === undefined) return []
  const bad = importsOf(text).flatMap((item) => importViolation(row, path, item, sources) ?? [])
  const mayReveal = path === 'secret.ts' || row.reveals.includes(path)
  return reveals(text) && !mayReveal ? [...bad, `src/${path} calls reveal() and may not`] : bad
}

function importViolation(
  row: Row,
  path: string,
  { specifier, computed }: Import,
  sources: Sources,
): string | undefined {
  if (computed) return `src/${path} imports what no table can judge: ${specifier}`
  if (!specifier.startsWith('.')) {
    const isAllowed = isBuiltin(specifier) || row.libraries.includes(libraryOf(specifier))
    return isAllowed
      ? undefined
      : `src/${path} imports the library ${libraryOf(specifier)}, which ${row.room} does not own`
  }
  const target = resolveWithin(path, specifier)
  if (EVERYWHERE.has(target)) return undefined
  if (!sources.has(target)) return `src/${path} imports ${specifier}, which is not there`
  const isAllowed = [roomOf(target), target, '*'].some((name) => name === row.room || row.imports.includes(name))
  return isAllowed ? undefined : `src/${path} imports ${target}, which ${row.room} may not`
}

/** A permission that nothing uses hides the day on which somebody should have asked for it. */
function idlePermissions({ room, imports, libraries, reveals: revealing }: Row, sources: Sources): string[] {
  const files = [...sources].filter(([path]) => roomOf(path) === room)
  const used = files
    .flatMap(([path, text]) => importsOf(text).map(({ specifier }) => usedNames(path, specifier)))
    .flat()
  const isIdle = (name: string) => name !== '*' && !used.includes(name)
  return [
    ...imports.filter(isIdle).map((name) => `the table lets ${room} import ${name}, and it does not`),
    ...libraries.filter(isIdle).map((name) => `the table gives ${room} the library ${name}, and it does not use it`),
    ...revealing
      .filter((path) => roomOf(path) !== room || !reveals(sources.get(path) ?? ''))
      .map((path) => `the table lets ${path} call reveal(), and it does not`),
  ]
}

function usedNames(path: string, specifier: string): string[] {
  if (!specifier.startsWith('.')) return [libraryOf(specifier)]
  const target = resolveWithin(path, specifier)
  return [target, roomOf(target)]
}

function libraryOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Rooms that reach themselves by what the table allows; then none of them could be understood alone. */
function cycles(table: Map<string, Row>): string[] {
  const next = (room: string) => (table.get(room)?.imports ?? []).filter((name) => name !== '*').map(roomOf)
  return [...table.keys()]
    .filter((room) => {
      const reached = new Set(next(room))
      for (const name of reached) for (const further of next(name)) reached.add(further)
      return reached.has(room)
    })
    .map((room) => `by the table ${room} may import itself through others`)
}

function duplicates(names: string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index)
}
