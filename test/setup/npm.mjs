// The npm packages, and keytar's native half.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { installIntoSystem } from './debian.mjs'
import { debianRoot, isDebian, libDirs, onPath, projectDir, run, say } from './machine.mjs'

const modules = join(projectDir, 'node_modules')
const pinned = join(modules, `node-${process.platform}-${process.arch}`)

/** The Node that the lockfile pins; where there is none for the machine (macOS), the one that runs this. */
export function pinnedNode() {
  const node = join(pinned, 'bin/node')
  return existsSync(node) ? node : process.execPath
}

/** Brings node_modules in line with the lockfile. Install scripts do not run here, so that none can fail the install. */
export async function addNodeModules() {
  const missing = missingPackages()
  const added = missing.length > 0
  if (added) {
    // `npm ci` begins anew; when only optional ones are missing (npm drops an optional package whose script failed) they are added.
    const afresh = missing.some(({ optional }) => !optional)
    say(
      afresh
        ? 'npm ci: adding the npm packages'
        : `npm install: adding ${missing.length} optional packages, keytar among them`,
    )
    const args = afresh ? ['ci'] : ['install', '--no-save']
    const { code, output } = await run('npm', [...args, '--ignore-scripts', '--no-progress'], { timeoutMs: 900_000 })
    if (code !== 0) throw new Error(`npm ${args[0]} failed:\n${output.split('\n').slice(-15).join('\n')}`)
    const rebuilt = await run('npm', ['rebuild', 'esbuild'])
    if (rebuilt.code !== 0) throw new Error(`npm rebuild esbuild failed:\n${rebuilt.output}`)
  }
  const { output } = await run(pinnedNode(), ['--version'])
  return { name: 'node', command: pinnedNode(), where: 'node_modules', version: output.trim().replace(/^v/, ''), added }
}

/** Compared by content, not by time: a fresh clone's files are all new. */
function missingPackages() {
  const wanted = packagesOf(join(projectDir, 'package-lock.json'))
  const present = packagesOf(join(modules, '.package-lock.json'))
  return Object.entries(wanted)
    .filter(
      ([path, { version, os, cpu }]) =>
        path !== '' && fits(os, process.platform) && fits(cpu, process.arch) && present[path]?.version !== version,
    )
    .filter(([path, { libc }]) => !(libc?.includes('musl') || path.endsWith('-musl')))
    .map(([path, { optional }]) => ({ path, optional: optional === true }))
}

function packagesOf(lockfile) {
  return existsSync(lockfile) ? JSON.parse(readFileSync(lockfile, 'utf8')).packages : {}
}

function fits(list, mine) {
  return list === undefined || list.includes(mine)
}

export async function keytarLoads() {
  const { code, output } = await run(pinnedNode(), ['-e', "require('keytar')"])
  return code === 0 ? null : (/^Error: .*|^.*Cannot find module.*/m.exec(output)?.[0] ?? output.slice(0, 200))
}

/** What keytar's compilation lacks of Debian's packages that the cache can hold; [] where the system has the headers. */
export async function keytarPackages() {
  if (!isDebian || (await run('pkg-config', ['--exists', 'libsecret-1'])).code === 0) return []
  return ['libsecret-1-dev']
}

/** Compiles keytar when it does not load. Gives {name, version} or {name, missing}. */
export async function addKeytar() {
  const row = { name: 'keytar', where: 'node_modules' }
  const version = () => JSON.parse(readFileSync(join(modules, 'keytar/package.json'), 'utf8')).version
  if ((await keytarLoads()) === null) return { ...row, version: version(), added: false }
  const lacking = { 'g++': 'g++', make: 'make', python3: 'python3', 'pkg-config': 'pkg-config' }
  const toolchain = Object.keys(lacking).filter((name) => onPath(name) === null)
  if (isDebian && toolchain.length > 0) await installIntoSystem(toolchain.map((name) => lacking[name]))
  const still = toolchain.filter((name) => onPath(name) === null)
  say(
    still.length === 0
      ? 'keytar: compiling it against the pinned Node'
      : `keytar: no ${still.join(', ')}; trying its prebuilt binary`,
  )
  const { output } = await run('npm', ['rebuild', 'keytar', '--foreground-scripts'], {
    env: still.length === 0 ? compileEnv() : {},
    timeoutMs: 180_000,
  })
  const problem = await keytarLoads()
  if (problem === null) return { ...row, version: version(), added: true }
  say(output.split('\n').slice(-15).join('\n'))
  return {
    name: 'keytar',
    missing:
      still.length === 0 ? problem : `${still.join(', ')} cannot be installed without root; the OS keychain is skipped`,
  }
}

/** node-gyp fetches Node's headers over the network unless it is shown those that came with the pinned Node. */
function compileEnv() {
  const pkgConfig = [...libDirs.map((dir) => join(dir, 'pkgconfig')), join(debianRoot, 'usr/share/pkgconfig')]
  const env = { npm_config_build_from_source: 'true', PKG_CONFIG_PATH: pkgConfig.join(':') }
  if (existsSync(join(pinned, 'include/node/node_api.h'))) env.npm_config_nodedir = pinned
  // Where the system has no libsecret, the one in the cache is written into the addon (RPATH, which its own libraries
  // are searched by as well; RUNPATH is not), so that the daemon under test needs no LD_LIBRARY_PATH.
  if (existsSync(join(libDirs[0], 'libsecret-1.so.0'))) {
    env.LDFLAGS = `-Wl,--disable-new-dtags,-rpath,${libDirs.join(':')}`
  }
  return env
}
