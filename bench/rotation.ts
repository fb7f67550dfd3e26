// How pulls fare while their password changes: 200 a second, the new password provided and staged before the registry takes it.
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { startDaemon } from '../test/helpers/daemon.ts'
import { eventually } from '../test/helpers/eventually.ts'
import { startFakeRegistry } from '../test/helpers/fake-registry.ts'
import { asInstalled, startedAs } from './as-installed.ts'
import type { Measure } from './measure.ts'
import { percentile } from './stats.ts'

const NAME = 'rotated.bench.example'
const PULLS_PER_SECOND = 200
const REPOSITORIES = 5

/** The rows of the table. */
export const rotationRows = [
  {
    name: 'rotation-failed-pulls',
    what: 'pulls that a rotation fails',
    unit: '',
    aim: 0,
    better: 'exact',
    judged: 'value',
    ours: 'failed pulls, rotation',
    peer: ['failed pulls, calm', 'no rotation'],
  },
  {
    name: 'rotation-p99',
    what: 'p99 of pulls in a rotation, 200/s',
    unit: 'ms',
    aim: 1.5,
    better: 'lower',
    ours: 'p99 of pulls, rotation',
    peer: ['p99 of pulls, calm', 'no rotation'],
  },
] as const

export type RotationRig = { measures: Measure[]; [Symbol.asyncDispose](): Promise<void> }

/** A daemon and a registry whose every request bears the password. Both samples are as long, and have as many pulls. */
export async function startRotationRig(main: string, seconds: number): Promise<RotationRig> {
  await using stack = new AsyncDisposableStack()
  let password = 'password 0'
  const registry = await startFakeRegistry({ auth: 'basic', username: 'ci', password })
  stack.defer(() => registry.close())
  const paths = Array.from({ length: REPOSITORIES }, (_, index) => {
    registry.addManifest(`team/app${index}`, '1', { schemaVersion: 2, index })
    return `/v2/team/app${index}/manifests/1?ns=${NAME}`
  })
  registry.addManifest('team/canary', '1', { schemaVersion: 2 })
  const daemon = await startDaemon({
    registries: [
      { host: NAME, upstream: registry.origin.origin, canary: 'team/canary', rotation: { graceSeconds: 1 } },
    ],
    main,
    ...startedAs(asInstalled()),
  })
  stack.defer(() => daemon.close())
  const stored = await daemon.rest('PUT', `/v1/registries/${NAME}/credential`, { username: 'ci', password })
  if (stored.status !== 200) throw new Error(`the login is refused with ${stored.status}`)
  const agent = new http.Agent({ keepAlive: true })
  stack.defer(() => agent.destroy())
  const headers = { 'regcredd-token': daemon.callerToken }

  /** Milliseconds; `undefined` for one that failed. */
  function pull(path: string): Promise<number | undefined> {
    const beganAtMs = performance.now()
    return new Promise((resolve) => {
      const request = http.get(`http://${daemon.proxy}${path}`, { agent, headers }, (answer) => {
        answer.resume()
        answer.on('end', () => resolve(answer.statusCode === 200 ? performance.now() - beganAtMs : undefined))
        answer.on('error', () => resolve(undefined))
      })
      request.on('error', () => resolve(undefined))
    })
  }

  /** Each pull at its time, however long those before it take. */
  async function pulls(): Promise<(number | undefined)[]> {
    const beganAtMs = performance.now()
    const begun: Promise<number | undefined>[] = []
    while (begun.length < seconds * PULLS_PER_SECOND) {
      const due = Math.min(seconds * PULLS_PER_SECOND, ((performance.now() - beganAtMs) / 1_000) * PULLS_PER_SECOND)
      while (begun.length < due) begun.push(pull(paths[begun.length % paths.length] ?? ''))
      await sleep(1)
    }
    return Promise.all(begun)
  }

  let rotations = 0
  async function rotate(): Promise<void> {
    rotations += 1
    password = `password ${rotations}`
    const started = await daemon.rest('POST', `/v1/registries/${NAME}/rotations`, { password, deadlineSeconds: 30 })
    if (started.status !== 202) throw new Error(`no rotation begins: ${started.status}`)
    const stateIs = async (...states: string[]) =>
      states.includes((await daemon.rest('GET', started.headers.location ?? '')).body.state)
    await sleep((seconds * 1_000) / 4)
    registry.setPassword(password)
    await eventually('the rotation commits', () => stateIs('GRACE', 'RETIRED'), 20_000)
  }

  const told = (kind: string, took: (number | undefined)[]) => {
    const served = took.filter((ms) => ms !== undefined)
    return {
      [`p99 of pulls, ${kind}`]: percentile(served, 0.99),
      [`failed pulls, ${kind}`]: took.length - served.length,
    }
  }
  await pulls()
  const held = stack.move()
  return {
    measures: [
      { label: 'pulls without a rotation', sample: async () => told('calm', await pulls()) },
      {
        label: 'pulls in a rotation',
        sample: async () => {
          const [took] = await Promise.all([pulls(), rotate()])
          return told('rotation', took)
        },
      },
    ],
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
