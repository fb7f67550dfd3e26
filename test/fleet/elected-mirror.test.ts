import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { electMirror } from '../../src/fleet/elected-mirror.ts'
import type { Mirrored } from '../../src/fleet/node-note.ts'
import type { MirrorRoom, MirrorStatus } from '../../src/mirror/mirror.ts'
import type { MirrorResult } from '../../src/rotation/ports.ts'
import { eventually } from '../helpers/eventually.ts'

const KEY = 'registry.corp.example'
const signal = new AbortController().signal

function createRig() {
  const told = new Map<string, Mirrored>()
  const rooms: {
    outcome: MirrorResult['outcome']
    started: boolean
    closed: boolean
    runs: number
    change: () => void
  }[] = []
  const faults: unknown[] = []
  const seen = { seq: 1, mirrored: undefined as Mirrored | undefined }
  let nowMs = 0
  const mirror = electMirror({
    makeRoom(onChange) {
      const room = {
        outcome: 'updated' as MirrorResult['outcome'],
        started: false,
        closed: false,
        runs: 0,
        change: onChange,
      }
      rooms.push(room)
      const result = () => ({ namespace: 'team-a', secretName: 'regcred', outcome: room.outcome, detail: undefined })
      return {
        mirror: async () => {
          room.runs += 1
          return [result()]
        },
        results: () => [{ ...result(), registries: [KEY] } as MirrorStatus],
        plan: () => [],
        stale: () => true,
        watches: () => [],
        check: async () => ({ rights: [], complete: true }),
        start: () => {
          room.started = true
        },
        close: async () => {
          room.closed = true
        },
      } satisfies MirrorRoom
    },
    fleet: {
      mirrored: (key, outcome) => void told.set(key, outcome),
      mirroredOf: async () => seen.mirrored,
    },
    keys: [KEY],
    seqOf: async () => seen.seq,
    sleep: async (durationMs) => {
      nowMs += durationMs
      await setImmediate()
    },
    steadyMs: () => nowMs,
    onFault: (thrown) => faults.push(thrown),
  })
  return { mirror, rooms, told, seen, faults, passed: () => nowMs }
}

test('the one that leads writes, and tells which seq; each term has a room of its own', async () => {
  const { mirror, rooms, told, seen } = createRig()
  assert.deepEqual([rooms.length, rooms[0]?.started, mirror.stale()], [1, false, false])
  mirror.lead(true)
  await eventually('it has told', () => told.get(KEY)?.seq === 1)
  assert.deepEqual([rooms.length, rooms[1]?.started, mirror.stale()], [2, true, true])
  seen.seq = 2
  mirror.adopted(KEY)
  await eventually('it has told of the next', () => told.get(KEY)?.seq === 2)
  mirror.lead(false)
  assert.deepEqual(mirror.results(), [])
  mirror.lead(true)
  assert.deepEqual([rooms.length, rooms[1]?.closed, rooms[2]?.closed], [3, true, false])
  await mirror.close()
  assert.equal(
    rooms.every(({ closed }) => closed),
    true,
  )
})

test('what could not be written at first and was written later is told, so that nobody waits for it for ever', async () => {
  const { mirror, rooms, told } = createRig()
  mirror.lead(true)
  const room = rooms[1]
  assert.ok(room)
  room.outcome = 'failed'
  await eventually('it has told', () => told.get(KEY)?.failed === 1)
  room.outcome = 'updated'
  room.change()
  room.change()
  await eventually('it has told again', () => told.get(KEY)?.failed === 0)
  await mirror.close()
})

test('a node that does not lead waits for the word of the one that does, and not for ever', async () => {
  const { mirror, rooms, seen, passed } = createRig()
  seen.seq = 5
  seen.mirrored = { seq: 4, total: 3, failed: 0 }
  const late = await mirror.mirror(KEY, signal)
  assert.deepEqual(
    late.map(({ outcome }) => outcome),
    ['failed'],
  )
  assert.ok(passed() >= 30_000)
  seen.mirrored = { seq: 5, total: 3, failed: 0 }
  assert.match((await mirror.mirror(KEY, signal))[0]?.detail ?? '', /^3 Secrets, written by/)
  seen.mirrored = { seq: 6, total: 3, failed: 2 }
  const some = await mirror.mirror(KEY, signal)
  assert.deepEqual([some[0]?.outcome, some[0]?.detail?.startsWith('2 of 3')], ['failed', true])
  assert.deepEqual(await mirror.mirror('other.example', signal), [])
  assert.equal(rooms[0]?.runs, 0)
})

test('a node that comes to lead while it waits writes itself', async () => {
  const { mirror, rooms, seen } = createRig()
  seen.seq = 2
  const waiting = mirror.mirror(KEY, signal)
  await setImmediate()
  mirror.lead(true)
  assert.deepEqual(
    (await waiting).map(({ namespace, outcome }) => [namespace, outcome]),
    [['team-a', 'updated']],
  )
  assert.ok((rooms[1]?.runs ?? 0) >= 1)
  await mirror.close()
})
