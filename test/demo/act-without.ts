import assert from 'node:assert/strict'
import { eventually } from '../helpers/eventually.ts'
import { IMAGE } from './registry.ts'
import type { Scene, Stand } from './scene.ts'

/** The counter-check: it was the daemon that had the password. */
export async function showWithout({ screen, options }: Scene, { daemon, registry, puller }: Stand): Promise<void> {
  screen.heading('8. The counter-check: the same pull with the daemon stopped')
  const before = registry.refusals().length
  await screen.step('stopping the daemon and pulling', async () => {
    await daemon.stop()
    await puller.route({ daemon, registry })
    await assert.rejects(puller.pull())
    // It writes its log behind its answer.
    await eventually('the registry is asked', () => registry.refusals().length > before)
    return `${IMAGE} falls to the registry itself, which says in its log:`
  })
  screen.note((registry.refusals().at(-1) ?? '').trim())
  if (!options.keep) return
  await screen.step('starting the daemon again', async () => {
    await daemon.start()
    await puller.route({ daemon })
    await puller.pull()
    return 'started again: what it had in the keychain is there, and the pull succeeds'
  })
}
