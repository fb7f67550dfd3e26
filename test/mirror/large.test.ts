import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFakeCluster } from './fake-cluster.ts'
import { createRig, until } from './rig.ts'

const REGISTRY = 'registry.corp.example'
const COUNT = 40
const LARGE = Buffer.alloc(700_000, 'x').toString('base64')

test("tenants' Secrets that are as large as can be are read a few at one time, and hold nobody up", async (t) => {
  const cluster = await startFakeCluster()
  for (let n = 0; n < COUNT; n += 1) {
    const metadata = { name: 'regcred', namespace: `team-${n}`, annotations: { any: LARGE.slice(0, 250_000) } }
    cluster.setNamespace(metadata.namespace)
    cluster.store('secrets', { metadata, type: 'Opaque', data: { x: LARGE } })
  }
  cluster.setNamespace('team-last')
  const mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'] }]
  const rig = createRig({ kubeconfig: cluster.kubeconfig, mirrors })
  t.after(async () => {
    await rig.close()
    await cluster.close()
  })
  rig.store(REGISTRY, 'one')
  let busy = 0
  let busiest = 0
  cluster.setFault(({ method, path }, answer) => {
    if (method !== 'GET' || !path.endsWith('/secrets/regcred')) return false
    busy += 1
    busiest = Math.max(busiest, busy)
    answer.on('close', () => {
      busy -= 1
    })
    return false
  })
  rig.start()
  await until(() => rig.results().length === COUNT + 1, 60_000)
  const outcomes = rig.results().map(({ outcome }) => outcome)
  assert.equal(outcomes.filter((outcome) => outcome === 'foreign').length, COUNT)
  assert.deepEqual(rig.results().find(({ namespace }) => namespace === 'team-last')?.outcome, 'created')
  const pages = cluster.calls.filter(({ path, query }) => path === '/api/v1/secrets' && !query.has('watch'))
  const limits = pages.map(({ query }) => Number(query.get('limit')))
  assert.ok(limits.includes(100) && limits.some((limit) => limit <= 13), `${limits}`)
  // Those that were too large to be held until their turn came were read in their turn.
  const single = new Set(cluster.calls.flatMap(({ path }) => (/\/secrets\/regcred$/.test(path) ? path : [])))
  assert.deepEqual([single.size, busiest <= 8], [COUNT, true], `${busiest} at one time`)
})
