// kube-apiserver, kubectl and kubelet of the version that test/go/kube-apiserver/go.mod pins, built by Go: Debian has none of them.
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildWithGo, goFor } from './go.mjs'
import { cacheDir, isExecutable, projectDir, say } from './machine.mjs'
import { versionOf } from './tools.mjs'

const moduleDir = join(projectDir, 'test/go/kube-apiserver')
const binaries = ['kube-apiserver', 'kubectl', 'kubelet']
const probes = { 'kube-apiserver': ['--version'], kubectl: ['version', '--client'], kubelet: ['--version'] }
const usualTime = { 'kube-apiserver': '3 to 6 minutes', kubectl: 'half a minute', kubelet: '1 to 3 minutes' }
const buildGiB = 8

/** Gives a row for each binary, built now if need be: 5 to 9 minutes and 8 GiB of Go's caches, once. */
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
  const { go, problem } = await goFor(buildGiB)
  if (problem) return problem
  mkdirSync(builtDir, { recursive: true })
  for (const name of names) {
    say(`building ${name} ${version} with Go, once: ${usualTime[name]} on two cores`)
    const failure = await buildWithGo(go, {
      module: 'kube-apiserver',
      main: `k8s.io/kubernetes/cmd/${name}`,
      // Without the stamp the server takes itself for v0.0.0-master.
      stamp: `k8s.io/component-base/version.gitVersion=${version}`,
      target: join(builtDir, name),
    })
    if (failure !== null) return failure
  }
  return null
}
