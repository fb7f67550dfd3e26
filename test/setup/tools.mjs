// The real parts: which command, out of which Debian package, for which purpose, and where it was found.
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addDebianPackages, versionOfPackage } from './debian.mjs'
import {
  cacheDir,
  cacheEnv,
  cacheLibraryPath,
  cachePath,
  inCache,
  isDebian,
  isExecutable,
  onPath,
  readIfThere,
  run,
  say,
} from './machine.mjs'

/** What test/helpers/tools.ts reads. */
export const toolsFile = join(cacheDir, 'tools.json')

const everywhere = ['demo', 'test', 'bench']
const debianTools = [
  { name: 'openssl', package: 'openssl', probe: ['version'], modes: everywhere },
  { name: 'htpasswd', package: 'apache2-utils', probe: null, modes: everywhere },
  { name: 'docker-registry', package: 'docker-registry', probe: ['--version'], modes: everywhere },
  { name: 'containerd', package: 'containerd', probe: ['--version'], modes: everywhere },
  { name: 'ctr', package: 'containerd', probe: ['--version'], modes: ['test'] },
  { name: 'runc', package: 'runc', probe: ['--version'], modes: everywhere },
  { name: 'skopeo', package: 'skopeo', probe: ['--version'], modes: everywhere },
  { name: 'podman', package: 'podman', probe: ['--version'], modes: ['test'] },
  { name: 'buildah', package: 'buildah', probe: ['--version'], modes: ['test'] },
  { name: 'dockerd', package: 'docker.io', probe: ['--version'], modes: ['test'] },
  { name: 'curl', package: 'curl', probe: ['--version'], modes: ['demo', 'test'] },
  { name: 'jq', package: 'jq', probe: ['--version'], modes: ['test'] },
  { name: 'umoci', package: 'umoci', probe: ['--version'], modes: everywhere },
  { name: 'dbus-daemon', package: 'dbus-daemon', probe: ['--version'], modes: everywhere },
  { name: 'gnome-keyring-daemon', package: 'gnome-keyring', probe: ['--version'], modes: everywhere },
  { name: 'etcd', package: 'etcd-server', probe: ['--version'], modes: ['demo', 'test'] },
  { name: 'systemd-analyze', package: 'systemd', probe: ['--version'], modes: ['test'] },
  { name: 'systemd-notify', package: 'systemd', probe: ['--version'], modes: ['test'] },
  { name: 'python3', package: 'python3', probe: ['--version'], modes: ['test'] },
  { name: 'nginx', package: 'nginx', probe: ['-v'], modes: ['test', 'bench'] },
  { name: 'wrk', package: 'wrk', probe: ['-v'], modes: ['test', 'bench'] },
]

/** Adds what `mode` needs and the machine lacks. Gives a row for each tool: {name, command, where, version, added, path?, libraryPath?} or {name, missing}. */
export async function addDebianTools(mode, morePackages) {
  const wanted = debianTools.filter((tool) => tool.modes.includes(mode))
  const absent = wanted.filter((tool) => locate(tool.name) === null)
  const packages = [...new Set([...absent.map((tool) => tool.package), ...morePackages])]
  let problem = 'not on PATH, and only Debian and its relatives can get it from here'
  if (packages.length > 0 && isDebian) {
    say(`adding to ${cacheDir}, without touching the system: ${packages.join(' ')}`)
    try {
      const unknown = await addDebianPackages(packages)
      problem = `the package lists of this machine lack it: ${unknown.join(' ')}`
    } catch (error) {
      problem = error.message.split('\n').slice(0, 3).join(' ')
      say(`  ${error.message}`)
    }
  }
  return Promise.all(wanted.map((tool) => row(tool, absent.includes(tool), problem)))
}

/** KUBEBUILDER_ASSETS is envtest's convention: a folder with etcd, kube-apiserver and kubectl. */
function locate(name) {
  const assets = process.env.KUBEBUILDER_ASSETS
  if (assets && isExecutable(join(assets, name))) return { command: join(assets, name), where: 'KUBEBUILDER_ASSETS' }
  const system = onPath(name)
  if (system !== null) return { command: system, where: 'system' }
  const cached = inCache(name)
  return cached === null ? null : { command: cached, where: 'cache', path: cachePath, libraryPath: cacheLibraryPath }
}

async function row(tool, added, problem) {
  const found = locate(tool.name)
  if (found === null) return { name: tool.name, missing: problem }
  const version = tool.probe === null ? await versionOfPackage(tool.package) : await versionOf(found, tool.probe)
  return { name: tool.name, ...found, version, added }
}

/** Asks the tool itself, once for each state of its file. */
export async function versionOf({ command, where }, probe) {
  const { mtimeMs, size } = statSync(command)
  const stamp = `${command} ${mtimeMs} ${size}`
  const before = knownTools().find((known) => known.stamp === stamp)
  if (before) return before.version
  const { code, output } = await run(command, probe, { env: where === 'cache' ? cacheEnv() : {}, timeoutMs: 20_000 })
  const version = /v?\d+\.\d+[\w.+~-]*/.exec(output)?.[0] ?? /\b\d{3}\b/.exec(output)?.[0]
  if (version === undefined)
    throw new Error(`${command} ${probe.join(' ')} does not run (exit ${code}): ${output.slice(0, 300)}`)
  return version.replace(/^v/, '')
}

function knownTools() {
  return existsSync(toolsFile) ? JSON.parse(readIfThere(toolsFile)) : []
}

/** Tools of other modes, found by an earlier run, stay listed. */
export function writeToolsFile(rows) {
  const names = new Set(rows.map(({ name }) => name))
  const kept = knownTools().filter(({ name }) => !names.has(name))
  const stamped = rows.map(({ added, ...known }) => {
    if (!known.command) return known
    const { mtimeMs, size } = statSync(known.command)
    return { ...known, stamp: `${known.command} ${mtimeMs} ${size}` }
  })
  mkdirSync(cacheDir, { recursive: true })
  writeFileSync(`${toolsFile}.new`, JSON.stringify([...kept, ...stamped], null, 1))
  renameSync(`${toolsFile}.new`, toolsFile)
}
