import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

export type Tool = { command: string; env: NodeJS.ProcessEnv; version: string }
export type MissingTool = { missing: string }

/** A row of the file that test/setup/tools.mjs writes. */
type Known = {
  name: string
  missing?: string
  command?: string
  version?: string
  path?: string[]
  libraryPath?: string
}

/** The set-up's cache: `REGCREDD_CACHE`, else `regcredd` in the user's cache folder. */
export function cacheDir(): string {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return process.env['REGCREDD_CACHE'] || join(base, 'regcredd')
}

/** Where `node test/setup.mjs` found or put a real part; run it with `env`, which has the library path that a part out of the cache needs. */
export function findTool(name: string): Tool | MissingTool {
  const file = join(cacheDir(), 'tools.json')
  if (!existsSync(file)) return { missing: `${name}: no set-up has run; node test/setup.mjs test does it` }
  const known = (JSON.parse(readFileSync(file, 'utf8')) as Known[]).find((one) => one.name === name)
  if (known === undefined) return { missing: `${name}: the last set-up did not ask for it` }
  if (known.command === undefined) return { missing: `${name}: ${known.missing}` }
  if (!isExecutable(known.command)) return { missing: `${name}: ${known.command} is gone; run the set-up again` }
  return { command: known.command, env: envOf(known), version: known.version ?? '' }
}

/** As findTool, where there is no going on without it. */
export function needTool(name: string): Tool {
  const tool = findTool(name)
  if ('missing' in tool) throw new Error(tool.missing)
  return tool
}

/** For `test(name, { skip: skipWithout('containerd') }, …)`: false when all are there, else the reason. In CI nothing skips: there it throws. */
export function skipWithout(...names: string[]): false | string {
  const reasons = names.map(findTool).flatMap((tool) => ('missing' in tool ? [tool.missing] : []))
  return skipFor(reasons.join('; '))
}

/** As skipWithout, for parts that only root can run: containerd mounts. */
export function skipWithoutRootAnd(...names: string[]): false | string {
  return process.getuid?.() === 0 ? skipWithout(...names) : skipFor(`${names.join(', ')}: needs root`)
}

function skipFor(reason: string): false | string {
  if (reason === '') return false
  if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)
  return reason
}

function envOf({ path, libraryPath }: Known): NodeJS.ProcessEnv {
  if (path === undefined || libraryPath === undefined) return { ...process.env }
  return { ...process.env, PATH: [process.env['PATH'], ...path].join(delimiter), LD_LIBRARY_PATH: libraryPath }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
