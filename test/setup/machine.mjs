// What the set-up knows of the machine, and how it runs commands. Plain JavaScript, because it runs before
// node_modules is there, on whatever Node the machine has (20 or later).
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const projectDir = resolve(fileURLToPath(new URL('../..', import.meta.url)))
export const cacheDir = resolve(
  process.env.REGCREDD_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'regcredd'),
)
const sbin = ['/usr/local/sbin', '/usr/sbin', '/sbin']
export const isRoot = process.getuid?.() === 0
export const isDebian = process.platform === 'linux' && existsSync('/etc/debian_version') && onPath('apt-get') !== null
const triplet = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch] ?? `${process.arch}-linux-gnu`

/** Where the Debian packages are unpacked: one tree for a release, so that a machine's upgrade starts a new one. */
export const debianRoot = join(cacheDir, `debian-${debianRelease()}-${process.arch}`)
export const libDirs = ['usr/lib', 'lib'].map((dir) => join(debianRoot, dir, triplet))
const cacheBins = ['usr/bin', 'usr/sbin', 'bin', 'sbin'].map((dir) => join(debianRoot, dir))

/** What a tool out of the cache needs in its environment. It goes behind the machine's own, so that nothing of the machine's is hidden. */
export const cachePath = [...sbin, ...cacheBins]
export const cacheLibraryPath = [...libDirs, join(libDirs[0], 'systemd')].join(':')

export function cacheEnv() {
  return { PATH: [process.env.PATH, ...cachePath].join(delimiter), LD_LIBRARY_PATH: cacheLibraryPath }
}

export function onPath(name, extraDirs = sbin) {
  const dirs = [...(process.env.PATH ?? '').split(delimiter), ...extraDirs]
  return dirs.map((dir) => join(dir, name)).find(isExecutable) ?? null
}

export function inCache(name) {
  return cacheBins.map((dir) => join(dir, name)).find(isExecutable) ?? null
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Runs a command without a shell and without standard input. Resolves with {code, output} whatever the code; output is
 * stdout and stderr as they came. `onLine` sees every line, for progress.
 */
export function run(command, args, { env = {}, cwd = projectDir, timeoutMs = 600_000, onLine = () => {} } = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    // Not spawn's own `timeout`: its timer outlives a command that could not be started, and holds the process.
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const end = (code, text) => {
      clearTimeout(timer)
      done({ code: code ?? -1, output: text })
    }
    let output = ''
    const take = (chunk) => {
      output += chunk
      for (const line of String(chunk).split('\n')) if (line !== '') onLine(line)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', (error) => end(-1, error.message))
    child.on('close', (code) => end(code, output))
  })
}

let quiet = false
export function beQuiet() {
  quiet = true
}

/** One line for one thing that is being done. With --json it goes to stderr, and only the table to stdout. */
export function say(text) {
  if (quiet) process.stderr.write(`${text}\n`)
  else process.stdout.write(`${text}\n`)
}

/** Two set-ups at once (a demo beside a test run) share the cache; the second waits for the first. */
export async function withLock(work) {
  mkdirSync(cacheDir, { recursive: true })
  const lock = join(cacheDir, 'setup.lock')
  for (let waitedS = 0; !takeLock(lock); waitedS++) {
    if (waitedS === 0) say(`waiting for another set-up that uses ${cacheDir}`)
    if (waitedS > 1800) throw new Error(`${lock} is still held after 30 minutes; remove it if no set-up runs`)
    await sleep(1000)
  }
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

/** Linked, so that it has its holder's number from its first moment on: one without a number is nobody's to remove. */
function takeLock(lock) {
  const own = `${lock}.${process.pid}`
  writeFileSync(own, String(process.pid))
  try {
    linkSync(own, lock)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    const holder = readIfThere(lock)
    if (holder !== '' && !isAlive(Number(holder))) rmSync(lock, { force: true })
    return false
  } finally {
    rmSync(own, { force: true })
  }
}

function isAlive(pid) {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

export function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return ''
    throw error
  }
}

function debianRelease() {
  const fields = new Map(
    readIfThere('/etc/os-release')
      .split('\n')
      .map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1).replaceAll('"', '')]),
  )
  return `${fields.get('ID') ?? 'unknown'}-${fields.get('VERSION_ID') ?? 'sid'}`
}
