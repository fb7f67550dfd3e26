import assert from 'node:assert/strict'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import type { FleetAccess } from './cluster.ts'
import { startLoad } from './load.ts'
import { createPlainPuller } from './puller.ts'
import { type DemoRegistry, HOST, startOwnRegistry, startRealRegistry, USERNAME } from './registry.ts'
import { masked, type Scene } from './scene.ts'

type Node = { name: string; daemon: Daemon; pull: () => Promise<string> }
type NodesAnswer = { nodes: { node: string; live: boolean; leads: boolean; adopted: Record<string, number> }[] | null }

const WITHIN_MS = 60_000

/** Two nodes and three namespaces that share a credential: a login on one node, a rotation on the other, pulls on both. */
export async function showFleet(scene: Scene): Promise<void> {
  const { screen, passwords } = scene
  screen.heading('7. Two nodes, three namespaces, one rotation')
  const cluster = await scene.cluster
  if (cluster === undefined) {
    screen.skipped('no Kubernetes API is at hand, see 5.')
    return
  }
  const access = await cluster.openFleet()
  const { registry, digest, nodes } = await showNodes(scene, access)
  const [one, two] = nodes as [Node, Node]
  const holds = (password: string) =>
    eventually(
      'the Secrets hold it',
      async () => {
        const found = await Promise.all(access.namespaces.map(access.readSecret))
        return found.every((secret) => secret?.auths[HOST]?.password === password) && found
      },
      WITHIN_MS,
    )

  await screen.step('logging in on node-1', async () => {
    await logIn(one.daemon, HOST, { username: USERNAME, password: passwords.first })
    const sinceMs = performance.now()
    await eventually('node-2 pulls', async () => (await two.pull().catch(() => '')) === digest, WITHIN_MS)
    return `a login on node-1; node-2 pulls with it ${seconds(sinceMs)} later`
  })
  const before = await holds(passwords.first)
  const loads = nodes.map(({ name, pull }) => startLoad(name, pull, digest, scene.signal))
  try {
    await screen.step('rotating on node-2', async () => {
      const path = `/v1/registries/${HOST}/rotations`
      const { status, body } = await two.daemon.rest('POST', path, { password: passwords.second })
      assert.deepEqual([status, body.state], [202, 'STAGED'], JSON.stringify(body))
      await registry.setPassword(passwords.second)
      const changedMs = performance.now()
      await holds(passwords.second)
      return `a rotation on node-2, and the password changed at the registry: all three Secrets hold it ${seconds(changedMs)} later`
    })
    await screen.step('looking at the nodes', () => showStanding(one, access))
    await screen.step('counting pulls', async () => {
      const counts = loads.map((load) => load.count())
      await eventually(
        'more pulls',
        () => loads.every((load, index) => load.count() >= (counts[index] ?? 0) + 5),
        WITHIN_MS,
      )
      const ended = await Promise.all(loads.map((load) => load.end()))
      const failures = ended.flatMap((load) => load.failures)
      const pulls = ended.reduce((sum, load) => sum + load.pulls, 0)
      assert.deepEqual(failures, [], `${failures.length} of ${pulls} pulls failed`)
      return `${pulls} pulls on the two nodes meanwhile: 0 failed`
    })
  } finally {
    await Promise.all(loads.map((load) => load.end()))
  }
  const after = await holds(passwords.second)
  screen.table(
    ['NAMESPACE', 'SECRET', 'BEFORE', 'AFTER'],
    access.namespaces.map((namespace, index) => {
      const [old, now] = [before[index], after[index]]
      assert.equal(now?.uid, old?.uid, 'a Secret was made anew')
      return [namespace, 'regcred', ...[old, now].map((secret) => masked(secret?.auths[HOST]?.password ?? ''))]
    }),
  )
}

async function showNodes(
  { screen, parts, passwords, stack }: Scene,
  access: FleetAccess,
): Promise<{ registry: DemoRegistry; digest: string; nodes: Node[] }> {
  const start = parts['docker-registry'] ? startOwnRegistry : startRealRegistry
  const registry = await start(passwords.first)
  stack.defer(registry.stop)
  const digest = await registry.push(passwords.first)
  const nodes: Node[] = []
  await screen.step('starting two nodes', async () => {
    const tls = registry.ca === undefined ? {} : { serverName: HOST, caFile: registry.ca.certFile }
    for (const [index, kubeconfig] of access.kubeconfigs.entries()) {
      const name = `node-${index + 1}`
      const daemon = await startDaemon({
        registries: [{ host: HOST, upstream: registry.origin, ...tls, credential: 'required' }],
        config: {
          kubernetes: {
            kubeconfig,
            mirrors: [{ registries: [HOST], namespaces: access.namespaces }],
            fleet: { namespace: access.system, node: name, leaseSeconds: 3, heartbeatSeconds: 1 },
          },
        },
      })
      stack.defer(daemon.close)
      const puller = createPlainPuller()
      await puller.route({ daemon })
      nodes.push({ name, daemon, pull: puller.pull })
    }
    return `node-1 and node-2 serve pulls, each with a keychain of its own and ${access.rights}`
  })
  return { registry, digest, nodes }
}

async function showStanding({ daemon }: Node, access: FleetAccess): Promise<string> {
  const standing = await eventually(
    'both nodes hold the same',
    async () => {
      const { nodes } = (await daemon.rest('GET', '/v1/nodes')).body as NodesAnswer
      const seqs = new Set(nodes?.map(({ adopted }) => adopted[HOST]))
      return nodes?.length === access.kubeconfigs.length && seqs.size === 1 && nodes
    },
    WITHIN_MS,
  )
  const leader = standing.find(({ leads }) => leads)
  assert.ok(leader !== undefined && standing.every(({ live }) => live))
  return `both nodes hold it; ${leader.node} leads, and it alone wrote into the namespaces`
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`
}
