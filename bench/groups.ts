import { findTool } from '../test/helpers/tools.ts'
import { blobMeasures } from './blob.ts'
import { fleetMeasure } from './fleet.ts'
import { startIdleRig } from './idle.ts'
import { startKeychainRig } from './keychain-start.ts'
import type { Measure } from './measure.ts'
import { mirrorMemoryMeasure, startMirrorRig } from './mirror.ts'
import { burstMeasure, pullMeasures } from './pull.ts'
import { startPullRig } from './pull-rig.ts'
import type { Rig } from './rig.ts'
import { startRotationRig } from './rotation.ts'
import { slowMeasures, startSlowRig } from './slow.ts'
import { smallMeasures } from './small.ts'
import { startUpMeasures } from './start-up.ts'

export type Plan = {
  kind: 'whole' | 'quick'
  rounds: number
  seconds: number
  settleMs: number
  blobBytes: number
  readers: number
  rotationSeconds: number
  idleSeconds: number
  namespaces: number
  watched: number
  nodes: number
}

type Say = (text: string) => void

/** One table of the page. What `start` begins ends with `stack`; `rounds` is how often its measures are worth taking. */
export type Group = {
  name: 'pulls' | 'keychain' | 'kubernetes'
  title: string
  rounds: (plan: Plan) => number
  start(rig: Rig, plan: Plan, stack: AsyncDisposableStack, say: Say): Promise<Measure[]>
}

export const groups: Group[] = [
  {
    name: 'pulls',
    title: 'Pulls',
    rounds: ({ rounds }) => rounds,
    async start(rig, { kind, rounds, seconds, settleMs, blobBytes, readers }, stack, say) {
      const { folder, main } = rig
      const hasCrane = !('missing' in findTool('crane'))
      say(hasCrane ? 'pushing images to two registries with tokens' : 'no crane: pulls of whole images are left out')
      const pulls = hasCrane && stack.use(await startPullRig(folder, { main, largeBytes: blobBytes, bursts: rounds }))
      const slow = rig.light && stack.use(await startSlowRig(folder, main, readers))
      return [
        ...blobMeasures(rig, 1, seconds),
        ...(kind === 'quick' ? [] : blobMeasures(rig, 8, seconds)),
        ...smallMeasures(rig, seconds),
        ...(pulls ? [...pullMeasures(pulls), burstMeasure(pulls)] : []),
        ...(slow ? slowMeasures(slow, readers, seconds) : []),
        ...startUpMeasures(rig, settleMs),
      ]
    },
  },
  {
    name: 'keychain',
    title: 'Keychain and rotation',
    rounds: ({ rounds }) => Math.min(rounds, 3),
    async start({ main }, { rotationSeconds, idleSeconds, settleMs }, stack, say) {
      const keyring = await startKeychainRig(main)
      if (keyring === undefined) say('no keyring: its row is left out')
      else stack.use(keyring)
      const rotation = stack.use(await startRotationRig(main, rotationSeconds))
      const idle = stack.use(await startIdleRig(main, { seconds: idleSeconds, settleMs: 5 * settleMs }))
      return [...(keyring?.measures ?? []), ...rotation.measures, ...idle.measures]
    },
  },
  {
    name: 'kubernetes',
    title: 'Kubernetes',
    rounds: ({ rounds }) => Math.min(rounds, 3),
    async start(_rig, { namespaces, watched, nodes, kind }, stack, say) {
      const memory = mirrorMemoryMeasure(watched)
      if ('missing' in findTool('kube-apiserver')) {
        say('no kube-apiserver: only the memory of a mirror is measured')
        return [memory]
      }
      say(`making ${2 * namespaces} namespaces`)
      const mirror = stack.use(await startMirrorRig(namespaces))
      return [...mirror.measures, memory, fleetMeasure(nodes, kind === 'quick' ? 2 : 5)]
    },
  },
]
