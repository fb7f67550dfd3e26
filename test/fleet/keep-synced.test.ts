import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { keepSynced } from '../../src/fleet/keep-synced.ts'
import { type Fault, fault } from '../../src/mirror/fault.ts'
import type { Lists } from '../../src/mirror/lists.ts'
import { createSimulation } from './simulation.ts'

const ATTEMPT_MS = 200

/** One replica each of whose attempts takes 200 ms and ends as `met` says; the cluster tells of a change when `tell` is called. */
function keepOne(met: () => Fault | undefined, random = 0.5) {
  const simulation = createSimulation()
  const { time } = simulation.clockOf({ random: () => random })
  const ending = new AbortController()
  const attempts: number[] = []
  let version = 1
  let tell = () => {}
  const lists: Pick<Lists, 'metas' | 'watch'> = {
    metas: async () => ({ ok: true, value: { items: [], resourceVersion: '1' } }),
    watch: (_subject, _version, on, signal) => {
      on.sign()
      tell = () => {
        version += 1
        const resourceVersion = String(version)
        const meta = { namespace: 'a', name: 'b', uid: 'c', resourceVersion, labels: {}, annotations: {} }
        on.event({ type: 'set', meta: { ...meta, terminating: false } })
      }
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ ok: true, value: undefined }))
      })
    },
  }
  const running = keepSynced(
    {
      key: 'registry.corp.example',
      namespace: 'a',
      replica: {
        state: () => ({ standing: 'unknown', seq: undefined, fleetSeq: undefined, detail: undefined }),
        seenVersion: () => undefined,
        async sync(signal) {
          attempts.push(simulation.nowMs())
          await time.sleep(ATTEMPT_MS, signal)
          return met()
        },
        update: async () => undefined,
      },
      lists: lists as Lists,
      time,
      resyncMs: 300_000,
      silenceMs: 150_000,
      openMs: 10_000,
      onSilence: () => {},
      onFault: () => {},
    },
    ending.signal,
  )
  return {
    attempts,
    pass: (durationMs: number, each?: () => void) => simulation.pass(durationMs, each),
    /** Resolves when what waited for it has begun. */
    tell() {
      tell()
      return setImmediate()
    },
    async end() {
      ending.abort()
      await running
    },
  }
}

test('news during an attempt that fails does not skip the pause after it', async () => {
  const one = keepOne(() => fault('unreachable', 'away'))
  let told = 0
  await one.pass(4_200, () => {
    if (told === one.attempts.length) return
    told = one.attempts.length
    void one.tell()
  })
  assert.equal(told, 4)
  assert.deepEqual(one.attempts, [0, 700, 1_900, 4_100])
  await one.end()
})

test('news during the pause after a fault ends it', async () => {
  const one = keepOne(() => fault('unreachable', 'away'))
  await one.pass(300)
  await one.tell()
  assert.deepEqual(one.attempts, [0, 300])
  await one.end()
})

test('a pause that the API server asks for is kept in full', async () => {
  const one = keepOne(() => ({ ...fault('throttled', 'patience'), retryAfterMs: 60_000 }), 0)
  await one.pass(130_000)
  assert.deepEqual(one.attempts, [0, 60_200, 120_400])
  await one.end()
})

test('what changes while it is read is read again at once', async () => {
  const one = keepOne(() => undefined)
  await one.pass(1_000)
  assert.deepEqual(one.attempts, [0, 200], 'the first list is news too')
  await one.tell()
  await one.pass(100)
  await one.tell()
  await one.pass(1_000)
  assert.deepEqual(one.attempts, [0, 200, 1_000, 1_200])
  await one.end()
})
