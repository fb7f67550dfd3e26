import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startDockerRegistry } from './docker-registry.ts'
import { pushImage } from './image.ts'
import { skopeoInspect } from './skopeo.ts'
import { skipWithout } from './tools.ts'

const login = { username: 'ci', password: 'first password' }
const skip = skipWithout('skopeo', 'umoci', 'docker-registry', 'htpasswd', 'openssl')

test('skopeo reads the digest of the pushed image with the password, and is refused without it', { skip }, async () => {
  const registry = await startDockerRegistry({ login })
  try {
    const image = await pushImage(registry, { repository: 'team/app', tag: '1', login })
    const name = `${registry.host}/team/app:1`
    const trust = { ca: registry.ca?.cert }
    const { Digest, Layers } = await skopeoInspect(name, { ...trust, login })
    assert.equal(Digest, image.manifestDigest)
    assert.deepEqual(Layers, image.layerDigests)
    await assert.rejects(skopeoInspect(name, trust), /unauthorized/)
    await assert.rejects(skopeoInspect(name, { ...trust, login: { ...login, password: 'wrong' } }), /unauthorized/)
  } finally {
    await registry.stop()
  }
})

test('skopeo trusts a CA only where it is handed one', { skip }, async () => {
  const registry = await startDockerRegistry()
  const other = await startDockerRegistry()
  try {
    await pushImage(registry, { repository: 'team/app', tag: '1' })
    await assert.rejects(skopeoInspect(`${registry.host}/team/app:1`, { ca: other.ca?.cert }), /x509|unknown authority/)
  } finally {
    await registry.stop()
    await other.stop()
  }
})
