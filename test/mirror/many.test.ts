import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countBusiest, rigOn } from './kit.ts'
import { until } from './rig.ts'

const COUNT = 5_000

test('five thousand namespaces: one write each, eight calls at one time, and nothing to write at the second look', async (t) => {
  const { cluster, rig } = await rigOn(t, { namespaces: Array.from({ length: COUNT }, (_, n) => `team-${n}`) })
  const busiest = countBusiest(cluster, ({ query }) => !query.has('watch'))
  rig.start()
  await until(() => rig.results().length === COUNT && !rig.stale(), 120_000)
  assert.equal(cluster.writes().length, COUNT)
  // Eight that write, and the lists of namespaces and Secrets at the start.
  assert.ok(busiest() <= 10, `${busiest()} calls at one time`)
  const results = await rig.run()
  assert.ok(results.every(({ outcome }) => outcome === 'unchanged'))
  assert.equal(cluster.writes().length, COUNT)
})
