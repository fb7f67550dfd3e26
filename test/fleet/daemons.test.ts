import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { skipWithoutKubernetes } from '../helpers/kube-apiserver.ts'
import { startFleetOfDaemons } from './daemons.ts'

const skip = skipWithoutKubernetes()
const WITHIN_MS = 60_000

test('a login on one node lets another pull, a rotation there reaches the first, and a logout all', {
  skip,
}, async (t) => {
  const { registry, nodes } = await startFleetOfDaemons(t, ['node-a', 'node-b'])
  const [a, b] = nodes
  assert.ok(a && b)
  assert.equal(await b.pull(), 503)
  assert.equal(await a.login(), 0, a.log())
  await eventually('the other node pulls', async () => (await b.pull()) === 200, WITHIN_MS)

  registry.setPassword('rotated')
  const rotated = await b.rotate('rotated')
  assert.match(rotated.body.state, /COMMITTED|MIRRORED|GRACE/)
  await eventually('the first node pulls with the new one', async () => (await a.pull()) === 200, WITHIN_MS)

  // It pulls with PENDING already.
  await eventually('it has taken over the commit, too', async () => {
    const metrics = await (await fetch(`${a.health}/metrics`)).text()
    return (
      /regcredd_fleet_in_step\{registry="registry\.corp\.example"\} 1/.test(metrics) &&
      /regcredd_fleet_credential_seq\{registry="registry\.corp\.example"\} 3/.test(metrics)
    )
  })
  await eventually(
    'nothing is warned of',
    async () => !/warning/.test(await (await fetch(`${a.health}/readyz`)).text()),
  )

  assert.equal((await a.cli(['logout', 'registry.corp.example'])).code, 0)
  await eventually('nobody pulls any more', async () => (await b.pull()) === 503, WITHIN_MS)
  assert.equal(await b.login('rotated'), 0)
  await eventually('it goes on after that', async () => (await a.pull()) === 200, WITHIN_MS)
  for (const node of nodes)
    assert.doesNotMatch(node.log() + JSON.stringify(await node.audit()), /the-password|rotated"|eyJ/)
})

test('a pull on another node finds PENDING while the node that rotates is stopped', { skip }, async (t) => {
  // The one that is stopped counts as live for three heartbeats, which is to be longer than all that is asked meanwhile.
  const fleet = { heartbeatSeconds: 60 }
  const { registry, nodes } = await startFleetOfDaemons(t, ['node-a', 'node-b'], { fleet })
  const [a, b] = nodes
  assert.ok(a && b)
  assert.equal(await a.login(), 0)
  await eventually('the other node pulls', async () => (await b.pull()) === 200, WITHIN_MS)
  const body = { password: 'rotated', deadlineSeconds: 600 }
  const staged = await a.rest('POST', '/v1/registries/registry.corp.example/rotations', body)
  assert.equal(staged.status, 202)
  process.kill(a.pid, 'SIGSTOP')
  try {
    registry.setPassword('rotated')
    await eventually('the pull goes through', async () => (await b.pull()) === 200, WITHIN_MS)
    const refused = await b.rest('POST', '/v1/registries/registry.corp.example/rotations', { password: 'third' })
    assert.deepEqual([refused.status, refused.body.code], [409, 'ROTATION_ACTIVE'])
    const abort = await b.rest('POST', `/v1/rotations/${staged.body.id}/abort`)
    assert.deepEqual(
      [abort.status, abort.body.code, abort.body.detail.includes('node-a')],
      [409, 'ROTATION_ELSEWHERE', true],
    )
  } finally {
    process.kill(a.pid, 'SIGCONT')
  }
  await eventually(
    'the rotation ends on its node',
    async () => /GRACE|MIRRORED/.test((await a.rest('GET', `/v1/rotations/${staged.body.id}`)).body.state),
    WITHIN_MS,
  )
})
