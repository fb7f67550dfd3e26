import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { eventually } from '../helpers/eventually.ts'
import { type KubeApiserver, skipWithoutKubernetes } from '../helpers/kube-apiserver.ts'
import { NAME, type Node, PASSWORD, startFleetOfDaemons } from './daemons.ts'

const skip = skipWithoutKubernetes()
const WITHIN_MS = 60_000
const LEASE_SECONDS = 8
const mirrors = [{ registries: [NAME], namespaces: ['team-*'] }]

const leaderOf = async (node: Node): Promise<string | null> => (await node.rest('GET', '/v1/nodes')).body.leader

async function mirrored(api: KubeApiserver, namespace: string): Promise<string | undefined> {
  const secret = await api.kubectl(['get', 'secret', 'regcred', '-n', namespace, '-o', 'json']).catch(() => undefined)
  if (secret === undefined) return undefined
  const { auths } = JSON.parse(Buffer.from(JSON.parse(secret).data['.dockerconfigjson'], 'base64').toString())
  return auths[NAME]?.password
}

/** Puts something else into a tenant's Secret, which its keeper sees at once. */
function spoil(api: KubeApiserver, namespace: string): Promise<string> {
  const auths = { [NAME]: { username: 'ci', password: 'spoilt', auth: Buffer.from('ci:spoilt').toString('base64') } }
  const data = { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') }
  return api.kubectl(['patch', 'secret', 'regcred', '-n', namespace, '--type=merge', '-p', JSON.stringify({ data })])
}

test('one node writes the Secrets of tenants, for rotations on any; when it is killed another goes on', {
  skip,
}, async (t) => {
  // Long enough for a node to lead on, and to count as live, that is kept from its next sign for some seconds.
  const fleet = { leaseSeconds: 6, heartbeatSeconds: 3 }
  const { api, registry, nodes } = await startFleetOfDaemons(t, ['node-a', 'node-b'], {
    kubernetes: { mirrors },
    fleet,
  })
  await api.kubectl(['create', 'namespace', 'team-a'])
  await api.kubectl(['create', 'namespace', 'team-b'])
  const [one] = nodes
  assert.ok(one)
  const name = await eventually('somebody leads', async () => (await leaderOf(one)) ?? undefined, WITHIN_MS)
  const leader = nodes[name === 'node-a' ? 0 : 1]
  const follower = nodes[name === 'node-a' ? 1 : 0]
  assert.ok(leader && follower)

  assert.equal(await follower.login(), 0)
  await eventually('the Secrets are there', async () => (await mirrored(api, 'team-b')) === PASSWORD, WITHIN_MS)
  registry.setPassword('rotated')
  const rotated = await follower.rotate('rotated')
  assert.equal(rotated.body.partial, false)
  assert.match(JSON.stringify(rotated.body.mirror), /2 Secrets, written by the node that leads/)
  assert.deepEqual([await mirrored(api, 'team-a'), await mirrored(api, 'team-b')], ['rotated', 'rotated'])
  assert.deepEqual((await follower.rest('GET', '/v1/mirror')).body.results, [])
  assert.match((await follower.cli(['mirror'])).stdout, new RegExp(`does not write the Secrets; ${name} does`))
  assert.match((await leader.cli(['mirror'])).stdout, /^up to date\n\nREGISTRY +NAMESPACE/)

  await eventually('both are seen, and what the leader holds', async () => {
    const table = (await follower.cli(['status', '--fleet'])).stdout
    return (
      /NODE +STATE +MIRROR +registry\.corp\.example\nnode-a +live .*\nnode-b +live/.test(table) &&
      /leads +3\n/.test(table)
    )
  })

  await leader.kill()
  await api.kubectl(['create', 'namespace', 'team-c'])
  await eventually(
    'another leads, and the new namespace has its Secret',
    async () => (await mirrored(api, 'team-c')) === 'rotated',
    WITHIN_MS,
  )
  assert.match((await follower.cli(['status', '--fleet'])).stdout, new RegExp(`${name} +(live|gone for \\d+ s)`))
})

test('a leader that was stopped and wakes after another took over writes nothing until it leads again', {
  skip,
}, async (t) => {
  const { api, nodes } = await startFleetOfDaemons(t, ['node-a', 'node-b'], {
    kubernetes: { mirrors },
    fleet: { leaseSeconds: LEASE_SECONDS },
  })
  await api.kubectl(['create', 'namespace', 'team-a'])
  const [one] = nodes
  assert.ok(one)
  const name = await eventually('somebody leads', async () => (await leaderOf(one)) ?? undefined, WITHIN_MS)
  const first = nodes[name === 'node-a' ? 0 : 1]
  const second = nodes[name === 'node-a' ? 1 : 0]
  assert.ok(first && second)
  try {
    assert.equal(await first.login(), 0)
    await eventually('the Secret is there', async () => (await mirrored(api, 'team-a')) === PASSWORD, WITHIN_MS)

    process.kill(first.pid, 'SIGSTOP')
    await eventually('the other took over', async () => (await leaderOf(second)) !== name, WITHIN_MS)
    await spoil(api, 'team-a')
    await eventually('the new leader repairs it', async () => (await mirrored(api, 'team-a')) === PASSWORD, WITHIN_MS)

    // Now nobody may write: the one that may is stopped, and the one that wakes does not know yet that its time is over.
    process.kill(second.pid, 'SIGSTOP')
    await spoil(api, 'team-a')
    process.kill(first.pid, 'SIGCONT')
    const wokenAtMs = performance.now()
    while (performance.now() - wokenAtMs < 4_000) {
      await setTimeout(200)
      const found = await mirrored(api, 'team-a')
      // Soon after that it leads, and may write.
      if (performance.now() - wokenAtMs > LEASE_SECONDS * 1_000 - 1_000) break
      assert.equal(found, 'spoilt', 'somebody wrote who did not lead')
    }
    await eventually('it leads again, and repairs', async () => (await mirrored(api, 'team-a')) === PASSWORD, WITHIN_MS)
  } finally {
    for (const { pid } of nodes) process.kill(pid, 'SIGCONT')
  }
})

test('when the leader is killed in the middle of mirroring a rotation, the next one writes the rest', {
  skip,
}, async (t) => {
  const { api, registry, nodes } = await startFleetOfDaemons(t, ['node-a', 'node-b', 'node-c'], {
    kubernetes: { mirrors },
  })
  const namespaces = Array.from({ length: 60 }, (_, index) => `team-${index}`)
  const manifests = namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  await api.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }))
  const passwords = async () => {
    const { items } = JSON.parse(
      await api.kubectl(['get', 'secrets', '-A', '--field-selector=metadata.name=regcred', '-o', 'json']),
    )
    return items.map((secret: { data: Record<string, string> }) => {
      const text = Buffer.from(secret.data['.dockerconfigjson'] ?? '', 'base64').toString()
      return JSON.parse(text).auths[NAME].password
    })
  }
  const [one] = nodes
  assert.ok(one)
  const name = await eventually('somebody leads', async () => (await leaderOf(one)) ?? undefined, WITHIN_MS)
  const leader = nodes.find((_node, index) => name === ['node-a', 'node-b', 'node-c'][index])
  const follower = nodes.find((node) => node !== leader)
  assert.ok(leader && follower)
  assert.equal(await follower.login(), 0)
  await eventually(
    'all have it',
    async () => (await passwords()).filter((p: string) => p === PASSWORD).length === 60,
    WITHIN_MS,
  )

  registry.setPassword('rotated')
  const begun = follower.rotate('rotated')
  await eventually('it has begun', async () => (await passwords()).includes('rotated'), WITHIN_MS)
  await leader.kill()
  await eventually(
    'all have the new one',
    async () => (await passwords()).every((p: string) => p === 'rotated'),
    WITHIN_MS,
  )
  assert.match((await begun).body.state, /COMMITTED|MIRRORED|GRACE/)
  await eventually(
    'the rotation knows',
    async () => {
      const report = (await follower.rest('GET', '/v1/nodes')).body
      return report.leader !== name && report.leader !== null
    },
    WITHIN_MS,
  )
})
