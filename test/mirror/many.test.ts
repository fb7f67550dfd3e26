import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFakeCluster } from './fake-cluster.ts'
import { createRig, until } from './rig.ts'

const REGISTRY = 'registry.corp.example'
const COUNT = 5_000

test('five thousand namespaces: one write each, eight calls at one time, and nothing to write at the second look', async (t) => {
  const cluster = await startFakeCluster()
  for (let n = 0; n < COUNT; n += 1) cluster.setNamespace(`team-${n}`)
  const mirrors = [{ registries: [REGISTRY], namespaces: ['team-*'] }]
  const rig = createRig({ kubeconfig: cluster.kubeconfig, mirrors })
  t.after(async () => {
    await rig.close()
    await cluster.close()
  })
  rig.store(REGISTRY, 'one')
  let busy = 0
  let busiest = 0
  cluster.setFault(({ query }, answer) => {
    if (query.has('watch')) return false
    busy += 1
    busiest = Math.max(busiest, busy)
    answer.on('close', () => {
      busy -= 1
    })
    return false
  })
  rig.start()
  await until(() => rig.results().length === COUNT && !rig.stale(), 120_000)
  assert.equal(cluster.writes().length, COUNT)
  // Eight that write, and the lists of namespaces and Secrets at the start.
  assert.ok(busiest <= 10, `${busiest} calls at one time`)
  const results = await rig.run()
  assert.ok(results.every(({ outcome }) => outcome === 'unchanged'))
  assert.equal(cluster.writes().length, COUNT)
})
