import { RegcreddError } from '../errors.ts'

/** One thing that is wrong with a configuration. `path` is written as in JavaScript (`registries[1].caFile`), empty for the file as a whole. */
export type Problem = { path: string; message: string; hint: string | undefined }

/** Gathers problems; the checks go on after each. */
export type Report = (path: string, message: string, hint?: string) => void

const PLAIN_KEY = /^[A-Za-z_$][\w$]*$/
const MAX_KEY_LENGTH = 64

export function joinPath(segments: readonly PropertyKey[]): string {
  return segments.reduce<string>((path, segment) => {
    if (typeof segment === 'number') return `${path}[${segment}]`
    const key = String(segment).slice(0, MAX_KEY_LENGTH)
    if (!PLAIN_KEY.test(key)) return `${path}[${JSON.stringify(key)}]`
    return path === '' ? key : `${path}.${key}`
  }, '')
}

/** A problem as one line: `path: message (hint)`. */
export function problemLine({ path, message, hint }: Problem): string {
  return `${path === '' ? '' : `${path}: `}${message}${hint === undefined ? '' : ` (${hint})`}`
}

/** CONFIG_INVALID with everything that is wrong. Holds no value of the file, only paths, canonical names and what is expected. */
export class ConfigError extends RegcreddError {
  readonly file: string
  readonly problems: Problem[]

  constructor(file: string, problems: Problem[]) {
    super('CONFIG_INVALID', `${file}: ${problems.map(problemLine).join('; ')}`)
    this.file = file
    this.problems = problems
  }
}
