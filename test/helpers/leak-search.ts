import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type Canary, needlesOf } from './canary.ts'

/** Something that was written or said, and where. `kind` groups the places: "daemon log", "argv". */
export type Place = { kind: string; name: string; content: string | Buffer }

/** Where which canary was found, and how it was coded; one line each. */
export function findLeaks(places: Place[], canaries: Canary[]): string[] {
  const wanted = canaries.map((canary) => ({ canary, needles: needlesOf(canary) }))
  return places.flatMap(({ kind, name, content }) => {
    const bytes = Buffer.from(content as string)
    return wanted.flatMap(({ canary, needles }) => {
      const form = [...needles].find(([, needle]) => bytes.includes(needle))?.[0]
      return form === undefined ? [] : [`${kind}: ${name}: ${canary.name} (${form})`]
    })
  })
}

/** Every file below `folder`, its name and its content; what vanishes meanwhile or is no file (a socket) has no content. */
export function placesInFolder(kind: string, folder: string): Place[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const content = entry.isFile() ? (unlessGone(() => readFileSync(path)) ?? '') : ''
      const target = entry.isSymbolicLink() ? (unlessGone(() => readlinkSync(path)) ?? '') : ''
      return { kind, name: path, content: Buffer.concat([Buffer.from(`${path}\n${target}\n`), Buffer.from(content)]) }
    })
}

export type ProcessSampler = {
  /** Every command line and environment that was seen, once each. */
  places(): Place[]
  /** Command lines, arguments joined by spaces. */
  commands(): string[]
  stop(): void
}

const SAMPLE_EVERY_MS = 8

/** Looks at the arguments and the environment of all descendants of this process, every few milliseconds, as any process of the same user may. */
export function sampleProcesses(): ProcessSampler {
  const seen = new Map<string, Place>()
  const look = () => {
    for (const pid of descendantsOf(process.pid)) {
      for (const [kind, file] of [
        ['argv', 'cmdline'],
        ['environ', 'environ'],
      ] as const) {
        const content = unlessGone(() => readFileSync(`/proc/${pid}/${file}`, 'latin1'))
        if (content)
          seen.set(`${kind} ${content}`, { kind, name: `pid ${pid}`, content: Buffer.from(content, 'latin1') })
      }
    }
  }
  const timer = setInterval(look, SAMPLE_EVERY_MS)
  return {
    places: () => [...seen.values()],
    commands: () =>
      [...seen.values()].flatMap(({ kind, content }) =>
        kind === 'argv' ? String(content).replaceAll('\0', ' ').trim() : [],
      ),
    stop: () => clearInterval(timer),
  }
}

/** Children of `pid`, their children and so on, of all threads. */
export function descendantsOf(pid: number): number[] {
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? []
  const children = threads.flatMap((thread) =>
    (unlessGone(() => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')) ?? '').split(' ').filter(Boolean),
  )
  return children.flatMap((child) => [Number(child), ...descendantsOf(Number(child))])
}

/** A process may end, and a file vanish, while it is looked at; what this user may not read leaks to none like him. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'ENOTDIR' || code === 'EACCES') return undefined
    throw error
  }
}
