import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { type Containerd, startContainerd, writeHostsToml } from './containerd.ts'
import { type DockerRegistry, startDockerRegistry } from './docker-registry.ts'
import { eventually } from './eventually.ts'
import { type PushedImage, pushImage } from './image.ts'
import { skipWithout, skipWithoutRootAnd } from './tools.ts'

const login = { username: 'ci', password: 'first password' }
const host = 'registry.corp.example'
const ref = `${host}/team/app:1`
const authorization = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
const skip =
  skipWithoutRootAnd('containerd', 'runc') || skipWithout('docker-registry', 'htpasswd', 'openssl', 'skopeo', 'umoci')

let registry: DockerRegistry
let containerd: Containerd
let image: PushedImage

before(async () => {
  if (skip) return
  registry = await startDockerRegistry({ login })
  image = await pushImage(registry, { repository: 'team/app', tag: '1', login })
  containerd = await startContainerd()
})

after(async () => {
  await containerd?.stop()
  await registry?.stop()
})

test('a pull without a credential fails with the 401 of the registry', { skip }, async () => {
  await pointAtRegistry({})
  await assert.rejects(containerd.cri.pullImage(ref), /127\.0\.0\.1:\d+ failed with status code \[manifests 1\]: 401/)
  assert.equal(await containerd.cri.imageStatus(ref), undefined)
})

test('a pull with the password in hosts.toml gives the very image that was pushed', { skip }, async () => {
  await pointAtRegistry({ authorization })
  const { imageRef } = await containerd.cri.pullImage(ref)
  assert.equal(imageRef, image.configDigest)
  assert.deepEqual((await containerd.cri.imageStatus(ref))?.repoDigests, [`${host}/team/app@${image.manifestDigest}`])
})

test('a forgotten image leaves no blob, so that the next pull asks the registry for each again', { skip }, async () => {
  await pointAtRegistry({ authorization })
  await containerd.cri.pullImage(ref)
  await containerd.forget(ref)
  const stored = new Set(await containerd.storedBlobs())
  assert.deepEqual(
    [image.manifestDigest, ...image.layerDigests].filter((digest) => stored.has(digest)),
    [],
  )
  // The registry's log comes a moment after its answers.
  const before = await eventually('the blobs of the first pull are logged', () => blobRequests() === 2 && 2)
  await containerd.cri.pullImage(ref)
  await eventually('so are those of the next', () => blobRequests() > before + 1)
  assert.equal(blobRequests() - before, 2) // config and layer
})

test('a file that names a server never lets containerd fall back to the host in the name of the image', {
  skip,
}, async () => {
  await writeHostsToml(containerd.certsDir, 'gone.corp.example', { url: 'http://127.0.0.1:9' })
  await assert.rejects(containerd.cri.pullImage('gone.corp.example/team/app:1'), /127\.0\.0\.1:9.*refused/)
  assert.doesNotMatch(containerd.log(), /lookup gone\.corp\.example/)
})

test('a layer of the asked size arrives whole in the registry', { skip }, async () => {
  const big = await pushImage(registry, { repository: 'team/big', tag: '1', login, layerBytes: 2_000_000 })
  assert.equal(big.layerDigests.length, 1)
  await writeHostsToml(containerd.certsDir, host, { url: registry.origin, ...trust(), headers: { authorization } })
  await containerd.cri.pullImage(`${host}/team/big:1`)
  const size = Number((await containerd.cri.imageStatus(`${host}/team/big:1`))?.size)
  assert.ok(size > 2_000_000 && size < 2_100_000, `${size} bytes`)
})

test('a stopped containerd leaves no process, no file and no mount', { skip }, async () => {
  const other = await startContainerd()
  await other.stop()
  assert.ok(!existsSync(other.socketPath))
  assert.ok(!existsSync(other.certsDir))
  await assert.rejects(other.cri.version())
})

async function pointAtRegistry(headers: Record<string, string>): Promise<void> {
  await writeHostsToml(containerd.certsDir, host, { url: registry.origin, ...trust(), headers })
}

function trust(): { caFile?: string } {
  return registry.ca === undefined ? {} : { caFile: registry.ca.certFile }
}

function blobRequests(): number {
  return registry.log().match(/"GET \/v2\/team\/app\/blobs\/[^"]*" 200/g)?.length ?? 0
}
