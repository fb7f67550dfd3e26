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
  }
  const version = await versionOfPinnedNode()
  if (added) {
    const { code, output } = await run('npm', ['rebuild', 'esbuild'])
    if (code !== 0) throw new Error(`npm rebuild esbuild failed:\n${output}`)
  }
  return { name: 'node', command: pinnedNode(), where: 'node_modules', version, added }
}

/** Node 26 needs libatomic, which every compiler brings along and a bare Debian lacks. */
async function versionOfPinnedNode() {
  const first = await run(pinnedNode(), ['--version'])
  const lacksAtomic = first.output.includes('libatomic.so.1')
  if (lacksAtomic && isDebian) await installIntoSystem(['libatomic1'])
  const { code, output } = lacksAtomic ? await run(pinnedNode(), ['--version']) : first
  if (code !== 0) throw new Error(`${pinnedNode()} does not run; as root: apt-get install libatomic1\n${output}`)
  return output.trim().replace(/^v/, '')
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

const toolchain = ['g++', 'make', 'python3', 'pkg-config'] // each the name of its Debian package, too

function lackingToolchain() {
  return toolchain.filter((name) => onPath(name) === null)
}

/** What keytar's compilation needs: the toolchain goes into the system, where root says so; gives the packages that the cache can hold. */
export async function prepareKeytar() {
  if (!isDebian || (await whyKeytarFails()) === null) return []
  if (lackingToolchain().length > 0) await installIntoSystem(lackingToolchain())
  return (await run('pkg-config', ['--exists', 'libsecret-1'])).code === 0 ? [] : ['libsecret-1-dev']
}

/** Compiles keytar when it does not load. Gives {name, version} or {name, missing}. */
export async function addKeytar() {
  const row = { name: 'keytar', where: 'node_modules' }
  const version = () => JSON.parse(readFileSync(join(modules, 'keytar/package.json'), 'utf8')).version
  if ((await whyKeytarFails()) === null) return { ...row, version: version(), added: false }
  const lacking = lackingToolchain()
  const compiles = lacking.length === 0
  say(compiles ? 'keytar: compiling it' : `keytar: no ${lacking.join(', ')} to compile it; trying its prebuilt binary`)
  const { output } = await run('npm', ['rebuild', 'keytar', '--foreground-scripts'], {
    env: compiles ? compileEnv() : {},
    timeoutMs: compiles ? 180_000 : 30_000,
  })
  const problem = await whyKeytarFails()
  if (problem === null) return { ...row, version: version(), added: true }
  if (compiles) say(output.split('\n').slice(-15).join('\n'))
  const missing = compiles
    ? problem
    : `no ${lacking.join(', ')}, and no root to install them; the OS keychain is skipped`
  return { name: 'keytar', missing }
}

async function whyKeytarFails() {
  const { code, output } = await run(pinnedNode(), ['-e', "require('keytar')"], { timeoutMs: 20_000 })
  return code === 0 ? null : (/^Error: .*/m.exec(output)?.[0] ?? output.slice(0, 200))
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
