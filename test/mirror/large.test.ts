import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countBusiest, rigOn } from './kit.ts'
import { until } from './rig.ts'

const COUNT = 40
const LARGE = Buffer.alloc(700_000, 'x').toString('base64')

test("tenants' Secrets that are as large as can be are read a few at one time, and hold nobody up", async (t) => {
  const namespaces = Array.from({ length: COUNT }, (_, n) => `team-${n}`)
  const { cluster, rig } = await rigOn(t, { namespaces: [...namespaces, 'team-last'] })
  for (const namespace of namespaces) {
    const metadata = { name: 'regcred', namespace, annotations: { any: LARGE.slice(0, 250_000) } }
    cluster.store('secrets', { metadata, type: 'Opaque', data: { x: LARGE } })
  }
  const busiest = countBusiest(cluster, ({ method, path }) => method === 'GET' && path.endsWith('/secrets/regcred'))
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
  assert.deepEqual([single.size, busiest() <= 8], [COUNT, true], `${busiest()} at one time`)
})
