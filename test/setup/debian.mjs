// Debian packages without touching the system: downloaded by a private apt state, unpacked into the cache. No package is
// installed, upgraded, removed or configured, and no service starts, so root is not needed and docker-ce is not in danger.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { cacheDir, debianRoot, isRoot, libDirs, readIfThere, run, say } from './machine.mjs'

const aptDir = join(cacheDir, 'apt')
const archives = join(debianRoot, 'archives')
const unpackedFile = join(debianRoot, 'unpacked.json')
const dayMs = 86_400_000

// Needed by maintainer scripts (which never run here) or for a graphical password prompt (200 MB of GTK).
const leftOut =
  /^(adduser|debconf|init-system-helpers|lsb-base|sysvinit-utils|ucf|gcr|gcr4|pinentry-gnome3|libgcr-ui-.*|libgtk-.*|iptables|libc6|libc-bin|gir1\.2-.*|containernetworking-plugins)(:.*)?$/

/** Makes sure that `packages` and what they need are unpacked in the cache. Gives the names that could not be had. */
export async function addDebianPackages(packages) {
  await freshenLists()
  const { closure, unknown } = await closureOf(packages)
  const unpacked = new Map(Object.entries(JSON.parse(readIfThere(unpackedFile) || '{}')))
  const wanted = closure.filter(({ name, version }) => unpacked.get(name) !== version)
  if (wanted.length > 0) await unpack(wanted, unpacked)
  return unknown
}

/** For a tool that cannot tell its version itself. */
export async function versionOfPackage(name) {
  const unpacked = JSON.parse(readIfThere(unpackedFile) || '{}')[name]
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
  return unpacked ?? (await run('dpkg-query', ['-W', '-f', '${Version}', name])).output
}

/** apt-get with our own lists and cache, the machine's own sources, and dpkg's true status (read only). */
function aptOptions() {
  const settings = {
    'Dir::State::lists': join(aptDir, 'state/lists'),
    'Dir::Cache': join(aptDir, 'cache'),
    // As root, apt would become _apt, which cannot write to root's home.
    ...(isRoot && { 'APT::Sandbox::User': 'root' }),
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
  }
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
}

async function freshenLists() {
  mkdirSync(join(aptDir, 'state/lists/partial'), { recursive: true })
  mkdirSync(join(aptDir, 'cache/archives/partial'), { recursive: true })
  const stamp = join(aptDir, 'updated')
  if (existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < dayMs) return
  say('  fetching package lists into the cache')
  const { code, output } = await run('apt-get', [...aptOptions(), '-q', 'update'])
  // One unreachable third-party source is no reason to stop: what is missing shows when the packages are looked up.
  if (code !== 0) say(`  apt-get update: ${output.split('\n').find((line) => /^[EW]:/.test(line)) ?? `exit ${code}`}`)
  else writeFileSync(stamp, '')
}

async function closureOf(packages) {
  const roots = (await Promise.all(packages.map(rootsOf))).flat()
  const together = await simulate(roots)
  if (together !== null) return { closure: together, unknown: [] }
  // One package that cannot be had must not cost the others.
  const found = new Map()
  const unknown = []
  for (const name of packages) {
    const closure = await simulate(await rootsOf(name))
    if (closure === null) unknown.push(name)
    for (const one of closure ?? []) found.set(one.name, one)
  }
  return { closure: [...found.values()], unknown }
}

/** A package and its direct needs less what is left out, so that apt does not follow gnome-keyring into GTK. */
async function rootsOf(name) {
  const { output } = await run('apt-cache', [...aptOptions(), 'show', '--no-all-versions', name])
  const depends = /^Depends: (.*)$/m.exec(output)?.[1] ?? ''
  if (!depends.split(', ').some((need) => leftOut.test(need.split(/[ |]/)[0]))) return [name]
  const version = /^Version: (.*)$/m.exec(output)?.[1]
  const needs = depends
    .split(', ')
    .map((need) => need.split(/[ |]/)[0])
    .filter((need) => !leftOut.test(need) && need !== 'default-dbus-session-bus')
  return [{ name, version }, ...needs]
}

async function simulate(roots) {
  const alone = roots.filter((root) => typeof root !== 'string')
  const names = roots.filter((root) => typeof root === 'string')
  const { code, output } = await run('apt-get', [
    ...aptOptions(),
    ...['-o', 'Debug::NoLocking=1', '-s', '-y', '--no-install-recommends', '--no-upgrade', 'install', ...names],
  ])
  if (code !== 0) return null
  const needed = [...output.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)].map(([, name, version]) => ({
    name,
    version,
  }))
  const all = new Map([...alone, ...needed].map((one) => [one.name, one]))
  return [...all.values()].filter(({ name }) => !leftOut.test(name))
}

async function unpack(wanted, unpacked) {
  mkdirSync(archives, { recursive: true })
  say(`  downloading ${wanted.length} packages: ${wanted.map(({ name }) => name).join(' ')}`)
  const fetched = await run(
    'apt-get',
    [...aptOptions(), '-q', 'download', ...wanted.map((one) => `${one.name}=${one.version}`)],
    { cwd: archives },
  )
  if (fetched.code !== 0) {
    rmSync(join(aptDir, 'updated'), { force: true }) // stale lists answer 404: the next run fetches them anew
    throw new Error(`apt-get download failed:\n${fetched.output.split('\n').slice(-6).join('\n')}`)
  }
  const total = /^Fetched .*$/m.exec(fetched.output)?.[0]
  if (total) say(`  ${total.toLowerCase()}`)
  for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    const { code, output } = await run('dpkg-deb', ['-x', join(archives, file), debianRoot])
    if (code !== 0) throw new Error(`dpkg-deb -x ${file} failed: ${output}`)
  }
  rmSync(archives, { recursive: true })
  for (const dir of libDirs) mendDevelopmentFiles(dir)
  for (const { name, version } of wanted) unpacked.set(name, version)
  writeFileSync(unpackedFile, JSON.stringify(Object.fromEntries(unpacked), null, 1))
}

/** -dev files expect to lie in /usr: .pc files name it, and libX.so points at a libX.so.0 that may be the system's. */
function mendDevelopmentFiles(dir) {
  for (const name of existsSync(dir) ? readdirSync(dir) : []) {
    const path = join(dir, name)
    if (!lstatSync(path).isSymbolicLink() || existsSync(path)) continue
    const inSystem = resolve(dirname(path.slice(debianRoot.length)), readlinkSync(path))
    unlinkSync(path)
    symlinkSync(inSystem, path)
  }
  for (const name of existsSync(join(dir, 'pkgconfig')) ? readdirSync(join(dir, 'pkgconfig')) : []) {
    const path = join(dir, 'pkgconfig', name)
    if (lstatSync(path).isSymbolicLink()) continue
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^(\w+)=\/usr\b/gm, `$1=${debianRoot}/usr`))
  }
}

/** Installs into the system, with everything that is there left as it is. The one place that touches it, and only as root. */
export async function installIntoSystem(packages) {
  if (!isRoot) return
  await freshenLists()
  say(`  installing with apt-get, without removing or upgrading any: ${packages.join(' ')}`)
  const { code, output } = await run(
    'apt-get',
    [...aptOptions(), '-y', '-q', '--no-install-recommends', '--no-remove', '--no-upgrade', 'install', ...packages],
    { env: { DEBIAN_FRONTEND: 'noninteractive' } },
  )
  if (code !== 0)
    say(`  apt-get install failed: ${output.split('\n').find((line) => line.startsWith('E:')) ?? `exit ${code}`}`)
}
