// Measures the mirror against a bare loop of the same writes, and its memory: node bench/mirror.ts [--quick]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { openCluster } from '../src/mirror/cluster.ts'
import { dockerConfigJson } from '../src/mirror/docker-config-json.ts'
import type { Found } from '../src/mirror/plan.ts'
import { createPool } from '../src/mirror/pool.ts'
import { Secret } from '../src/secret.ts'
import { eventually } from '../test/helpers/eventually.ts'
import { startKubeApiserver } from '../test/helpers/kube-apiserver.ts'
import { memoryBytes } from '../test/helpers/process-memory.ts'
import { startFakeCluster } from '../test/mirror/fake-cluster.ts'
import { createRig } from '../test/mirror/rig.ts'
import { asInstalled } from './as-installed.ts'
import { interleave, type Measure } from './measure.ts'
import { type Row, resultsFrom, tableOf } from './result.ts'

const REGISTRY = 'registry.bench.example'
/** As the mirror has it. */
const CONCURRENCY = 8
const never = new AbortController().signal

/** The rows of the table. */
export const mirrorRows: readonly Row[] = [
  {
    name: 'mirror-time',
    what: 'rotation to 1,000 namespaces',
    unit: 's',
    aim: 1.2,
    better: 'lower',
    ours: 'mirror, regcredd',
    peer: ['mirror, bare', 'bare'],
  },
  {
    name: 'mirror-idle',
    what: 'writes of a second look',
    unit: '',
    aim: 0,
    better: 'exact',
    judged: 'value',
    ours: 'mirror second look, regcredd',
    peer: ['mirror second look, bare', 'bare'],
  },
  {
    name: 'mirror-memory',
    what: '5,000 namespaces, memory',
    unit: 'MB',
    aim: 150,
    better: 'lower',
    judged: 'value',
    ours: 'mirror memory, regcredd',
    peer: ['mirror memory, none', 'none'],
  },
]

export type MirrorRig = { measures: Measure[]; [Symbol.asyncDispose](): Promise<void> }

/** A real API server with `count` namespaces for the mirror and as many for the bare loop; each sample is one rotation to all of them. */
export async function startMirrorRig(count: number): Promise<MirrorRig> {
  await using stack = new AsyncDisposableStack()
  const api = await startKubeApiserver()
  stack.defer(() => api.close())
  const names = (kind: string) => Array.from({ length: count }, (_, n) => `${kind}-${n}`)
  const manifests = [...names('bare'), ...names('mirror')].map((name) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
  )
  await api.kubectl(['create', '-f', '-'], manifests.join('\n---\n'))
  const kubeconfig = await api.kubeconfig('admin')

  const cluster = openCluster({ kubeconfig, timeoutMs: 10_000 })
  stack.defer(() => cluster.close())
  const stored = new Map<string, Found>()
  let rotation = 0

  async function bareLoop(): Promise<void> {
    const pool = createPool(CONCURRENCY)
    const login = { key: REGISTRY, username: 'ci', secret: new Secret(`bare-${rotation}`), email: undefined }
    await Promise.all(
      names('bare').map((namespace) =>
        pool(async () => {
          // Of another name, for the mirror reads and watches all Secrets of its own.
          const name = { namespace, secretName: 'bare' }
          const base = stored.get(namespace)
          const writing = { content: dockerConfigJson([login], undefined), annotations: { seq: String(rotation) } }
          const answer =
            base === undefined
              ? await cluster.create(name, writing, never)
              : await cluster.update(name, writing, base, never)
          if (!answer.ok) throw new Error(answer.fault.detail)
          stored.set(namespace, answer.value)
        }),
      ),
    )
  }

  const mirrors = [{ registries: [REGISTRY], namespaces: ['mirror-*'] }]
  const rig = createRig({ kubeconfig, mirrors, resyncIntervalMs: 86_400_000 })
  stack.defer(() => rig.close())
  rig.store(REGISTRY, 'first')
  rig.start()
  await eventually('every namespace has its Secret', () => rig.results().length >= count && !rig.stale(), 120_000)
  await bareLoop()

  async function versions(): Promise<Map<string, string>> {
    const listed = await cluster.lists.metas({ kind: 'secrets', name: 'regcred' }, never)
    if (!listed.ok) throw new Error(listed.fault.detail)
    const ours = listed.value.items.filter(({ namespace }) => namespace.startsWith('mirror-'))
    return new Map(ours.map(({ namespace, resourceVersion }) => [namespace, resourceVersion]))
  }

  const measures: Measure[] = [
    {
      label: `rotation to ${count} namespaces, bare loop`,
      sample: async () => {
        rotation += 1
        return { 'mirror, bare': await seconds(bareLoop) }
      },
    },
    {
      label: `rotation to ${count} namespaces, regcredd`,
      sample: async () => {
        rotation += 1
        rig.store(REGISTRY, `mirror-${rotation}`)
        const wall = await seconds(async () => {
          const results = await rig.run(REGISTRY)
          if (results.some(({ outcome }) => outcome !== 'updated')) throw new Error('a Secret was not updated')
        })
        const before = await versions()
        await rig.run(REGISTRY)
        const after = await versions()
        const written = [...after].filter(([namespace, version]) => before.get(namespace) !== version).length
        return { 'mirror, regcredd': wall, 'mirror second look, regcredd': written, 'mirror second look, bare': 0 }
      },
    },
  ]
  const held = stack.move()
  return { measures, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** The memory of a process that follows so many namespaces of a scripted API server, once all of them have their Secret. */
export function mirrorMemoryMeasure(count: number): Measure {
  return {
    label: `memory with ${count} namespaces`,
    sample: async () => {
      const cluster = await startFakeCluster()
      for (let n = 0; n < count; n += 1) cluster.setNamespace(`team-${n}`)
      const folder = await mkdtemp(join(tmpdir(), 'regcredd-bench-'))
      const program = join(folder, 'mirror-process.mjs')
      await bundle(program)
      const { nodeFlags, environment } = asInstalled()
      const child = spawn(process.execPath, [...nodeFlags, program, cluster.kubeconfig, String(count)], {
        env: { PATH: process.env['PATH'], ...environment },
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: 120_000,
      })
      try {
        await once(createInterface(child.stdout), 'line')
        const bytes = await memoryBytes(child.pid, 'VmRSS')
        return { 'mirror memory, regcredd': bytes / 1e6, 'mirror memory, none': 1 }
      } finally {
        const exit = once(child, 'exit')
        if (child.kill('SIGTERM')) await exit
        await cluster.close()
        await rm(folder, { recursive: true })
      }
    },
  }
}

/** As the daemon is shipped: from its sources the client library takes more. */
async function bundle(outfile: string): Promise<void> {
  await build({
    ...{ entryPoints: [join(import.meta.dirname, 'mirror-process.ts')], outfile, bundle: true },
    ...{ format: 'esm', platform: 'node', target: 'node24', minifyWhitespace: true, minifySyntax: true },
    banner: { js: `import{createRequire as toRequire}from'node:module';const require=toRequire(import.meta.url);` },
    logLevel: 'error',
  })
}

async function seconds(act: () => Promise<void>): Promise<number> {
  const beganAt = performance.now()
  await act()
  return (performance.now() - beganAt) / 1_000
}

if (import.meta.main) {
  const { quick } = parseArgs({ options: { quick: { type: 'boolean' } } }).values
  const plan = quick ? { rounds: 1, count: 100, watched: 500 } : { rounds: 5, count: 1_000, watched: 5_000 }
  await using rig = await startMirrorRig(plan.count)
  const values = await interleave(
    [...rig.measures, mirrorMemoryMeasure(plan.watched)],
    plan.rounds,
    (round, label, sample) =>
      process.stderr.write(`  round ${round}  ${label.padEnd(44)}${Object.values(sample)[0]?.toFixed(2)}\n`),
  )
  process.stdout.write(`${tableOf(resultsFrom(mirrorRows, values))}\n`)
}
