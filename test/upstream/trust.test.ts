import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createAgents } from '../../src/upstream/agents.ts'
import { trusting } from '../../src/upstream/trust.ts'
import { listed } from '../helpers/proxy.ts'
import { makeCa } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

test('the authorities of a caFile are read once for all registries and connections', {
  skip: skipWithout('openssl'),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-trust-'))
  t.after(() => rm(folder, { recursive: true }))
  const { cert: ca } = await makeCa(folder)
  const { cert: other } = await makeCa(folder)
  const contexts = ['a.example', 'b.example'].map((name) => {
    const agents = createAgents(listed(name, new URL(`https://${name}`), { ca }))
    t.after(agents.close)
    return agents.secure?.().secureContext
  })
  assert.ok(contexts[0] !== undefined && contexts[0] === contexts[1])
  assert.equal(trusting(ca), contexts[0])
  assert.notEqual(trusting(other), contexts[0], 'who trusts one does not trust the other')
})
