/** One row of ARCHITECTURE.md's table. `room` is a folder or a single file under src/. */
export type Row = { room: string; imports: string[]; libraries: string[]; reveals: string[] }

const HEAD = ['room', 'imports', 'libraries', 'reveals']

/** Reads the table; throws where there is none, or a row has another number of cells. */
export function parseImportTable(markdown: string): Row[] {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => cellsOf(line).join() === HEAD.join())
  if (start === -1) throw new Error(`there is no table with the head ${HEAD.join(', ')}`)
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'))
  return lines.slice(start + 2, end === -1 ? undefined : end).map((line) => {
    const [room = '', imports = '', libraries = '', reveals, ...more] = cellsOf(line)
    if (reveals === undefined || more.length > 0) throw new Error(`a row has not four cells: ${line}`)
    return { room, imports: listOf(imports), libraries: listOf(libraries), reveals: listOf(reveals) }
  })
}

function cellsOf(line: string): string[] {
  return line.startsWith('|')
    ? line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
    : []
}

function listOf(cell: string): string[] {
  return cell === '' ? [] : cell.split(',').map((item) => item.trim().replace(/^`|`$/g, ''))
}
