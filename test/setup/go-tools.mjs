// Clients and registries newer than Debian's, of the versions that the go.mod files under test/go pin.
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildWithGo, goFor } from './go.mjs'
import { cacheDir, isExecutable, projectDir, say } from './machine.mjs'
import { versionOf } from './tools.mjs'

const containerd = 'github.com/containerd/containerd/v2'
const containerd1 = 'github.com/containerd/containerd'
const distribution = 'github.com/distribution/distribution/v3'
const crane = 'github.com/google/go-containerregistry'
// The names tell them from Debian's containerd, ctr and docker-registry. Times: two cores, empty caches.
const goTools = [
  {
    name: 'crane',
    of: crane,
    command: 'crane',
    module: 'crane',
    stamp: 'cmd/crane/cmd.Version',
    probe: ['version'],
    usualTime: 'a minute',
  },
  {
    // Our own main beside crane's go.mod: a library's registry needs a process to run in.
    name: 'referrers-registry',
    of: crane,
    main: './referrers-registry',
    module: 'crane',
    usualTime: '10 seconds',
  },
  {
    name: 'distribution',
    of: distribution,
    command: 'registry',
    module: 'distribution',
    stamp: 'version.version',
    probe: ['--version'],
    usualTime: '2 minutes',
  },
  {
    name: 'containerd-2',
    of: containerd,
    command: 'containerd',
    module: 'containerd',
    stamp: 'version.Version',
    probe: ['--version'],
    usualTime: '2 minutes',
  },
  {
    // Under the name that containerd looks for: an older one does not serve 2.x.
    name: 'containerd-shim-runc-v2',
    of: containerd,
    command: 'containerd-shim-runc-v2',
    module: 'containerd',
    stamp: 'version.Version',
    probe: ['-v'],
    usualTime: '20 seconds',
  },
  {
    name: 'ctr-2',
    of: containerd,
    command: 'ctr',
    module: 'containerd',
    stamp: 'version.Version',
    probe: ['--version'],
    usualTime: '10 seconds',
  },
  {
    name: 'containerd-1',
    of: containerd1,
    command: 'containerd',
    module: 'containerd-1',
    stamp: 'version.Version',
    probe: ['--version'],
    usualTime: '2 minutes',
  },
  {
    name: 'ctr-1',
    of: containerd1,
    command: 'ctr',
    module: 'containerd-1',
    stamp: 'version.Version',
    probe: ['--version'],
    usualTime: '10 seconds',
  },
]
const buildGiB = 4

/** What is measured against; the tests need all. */
const benchTools = ['crane', 'distribution']

/** Gives a row for each that the mode needs, built now if need be: 3 to 8 minutes, once. */
export async function addGoTools(mode) {
  const needed = { test: goTools, bench: goTools.filter(({ name }) => benchTools.includes(name)), demo: [] }[mode]
  const located = needed.map((tool) => ({ ...tool, ...place(tool) }))
  const absent = located.filter(({ target }) => !isExecutable(target))
  const problems = absent.length > 0 ? await build(absent) : new Map()
  return Promise.all(
    located.map(async ({ name, target, probe, version }) => {
      if (!isExecutable(target)) return { name, missing: problems.get(name) }
      const found = { command: target, where: 'built' }
      const said = probe === undefined ? version.slice(1) : await versionOf(found, probe)
      return { name, ...found, version: said, added: absent.some((one) => one.name === name) }
    }),
  )
}

function place({ name, of, module }) {
  const mod = readFileSync(join(projectDir, 'test/go', module, 'go.mod'), 'utf8')
  const pinned = mod
    .split('\n')
    .map((line) => line.trim().split(' '))
    .find(([path]) => path === of)?.[1]
  return { version: pinned, target: join(cacheDir, 'go-tools', `${module}-${pinned}`, name) }
}

/** One that cannot be built must not cost the others: gives what went wrong for each. */
async function build(absent) {
  const { go, problem } = await goFor(buildGiB)
  if (problem) return new Map(absent.map(({ name }) => [name, problem]))
  const problems = new Map()
  for (const {
    name,
    of,
    command,
    main = `${of}/cmd/${command}`,
    module,
    version,
    stamp,
    target,
    usualTime,
  } of absent) {
    say(`building ${name} ${version} with Go, once: ${usualTime} on two cores`)
    const startedMs = Date.now()
    mkdirSync(join(target, '..'), { recursive: true })
    const failure = await buildWithGo(go, { module, main, stamp: stamp && `${of}/${stamp}=${version}`, target })
    if (failure !== null) problems.set(name, failure)
    else say(`  ${name} took ${Math.round((Date.now() - startedMs) / 1000)} s`)
  }
  return problems
}
