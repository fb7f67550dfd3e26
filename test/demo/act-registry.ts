import assert from 'node:assert/strict'
import { createPlainPuller, type Puller, startContainerdPuller } from './puller.ts'
import { type DemoRegistry, IMAGE, LAYER_BYTES, startOwnRegistry, startRealRegistry, USERNAME } from './registry.ts'
import type { Scene } from './scene.ts'

const MAX_WORDS = 100

/** A private registry with an image in it. */
export async function showRegistry(scene: Scene): Promise<{ registry: DemoRegistry; digest: string }> {
  const { screen, parts, stack, passwords } = scene
  let registry: DemoRegistry | undefined
  let digest = ''
  screen.heading('1. A private registry')
  const lack = parts['docker-registry']
  if (lack) screen.skipped(`the tests’ own registry stands in for docker-registry (${lack})`)
  await screen.step('starting the registry', async () => {
    registry = await (lack ? startOwnRegistry : startRealRegistry)(passwords.first)
    stack.defer(registry.stop)
    assert.equal(await registry.statusFor(passwords.first), 200, 'the registry does not let its own user in')
    const tls = registry.ca === undefined ? '' : ', TLS by an authority made just now'
    return `${registry.title} at ${registry.origin}, its one user ${USERNAME}${tls}`
  })
  assert.ok(registry !== undefined)
  const { push } = registry
  await screen.step('making an image from scratch and pushing it', async () => {
    digest = await push(passwords.first)
    const size = lack ? 'an empty layer' : `a layer of ${LAYER_BYTES / 1e6} MB`
    return `pushed ${IMAGE}, made from scratch with ${size}`
  })
  screen.note(digest)
  return { registry, digest }
}

/** What a node without the password gets. */
export async function showRefusal(scene: Scene, registry: DemoRegistry): Promise<Puller> {
  const { screen, parts, stack } = scene
  let puller: Puller | undefined
  screen.heading('2. Without the password')
  if (parts.containerd) screen.skipped(`a plain HTTP client stands in for containerd (${parts.containerd})`)
  await screen.step('starting containerd', async () => {
    puller = parts.containerd ? createPlainPuller() : await startContainerdPuller()
    stack.defer(puller.stop)
    return `${puller.title} is there, with no credential`
  })
  assert.ok(puller !== undefined)
  const { route, pull } = puller
  let said = ''
  await screen.step(`pulling ${IMAGE} from the registry itself`, async () => {
    await route({ registry })
    const refusal = await pull().then(
      () => assert.fail('it was pulled without a password'),
      (thrown: Error) => thrown.message,
    )
    assert.match(refusal, /manifests.*\b401\b/)
    said = refusal.slice(Math.max(0, refusal.indexOf('pulling from host'))).slice(0, MAX_WORDS)
    return `${IMAGE} is refused, and ${puller?.title} says:`
  })
  screen.note(said)
  return puller
}
