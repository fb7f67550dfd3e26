import type { Answer, Fault } from '../mirror/fault.ts'
import { spread } from '../mirror/keep-up.ts'
import { type FoundLease, heldBy, type Leases, type LeaseWriting, writeLease } from './leases.ts'
import { nodeLeaseNameOf } from './names.ts'
import { formatNote, type NodeNote, parseNote } from './node-note.ts'
import type { Time } from './time.ts'

/** A node as its Lease tells. */
export type SeenNode = NodeNote & {
  /** Since its last sign, by the clock of the API server. */
  silentSeconds: number
  /** Not silent for three heartbeats. */
  isLive: boolean
}

export type Presence = {
  /** Something that this node tells of itself has changed. Told within a second; a heartbeat tells it anew. */
  changed(): void
  /** All nodes, sorted by name. */
  nodes(signal: AbortSignal): Promise<Answer<SeenNode[]>>
  fault(): Fault | undefined
  /** Whether another daemon says that it is this node, too: both would drive the same rotations. */
  hasTwin(): boolean
  /** Says that this node is there until the signal is aborted. Never throws. */
  run(signal: AbortSignal): Promise<void>
}

const MISSED_HEARTBEATS = 3
/** Changes of the same moment become one write, and the nodes of a fleet do not all write at once. */
const GATHER_MS = 400
const FIRST_RETRY_MS = 1_000

/** Tells the fleet by a Lease what this node holds: a write for each change and a slow heartbeat, nothing else. */
export function createPresence(parts: {
  leases: Leases
  node: string
  identity: string
  heartbeatSeconds: number
  time: Time
  note: () => Omit<NodeNote, 'node'>
}): Presence {
  const { leases, node, identity, time } = parts
  const name = nodeLeaseNameOf(node)
  const heartbeatMs = parts.heartbeatSeconds * 1_000
  let wake = new AbortController()
  let fault: Fault | undefined
  let hasWritten = false
  let twinSeenMs: number | undefined
  /** A moment by the server's clock, and by ours. */
  let anchor: { serverMs: number; steadyMs: number } | undefined

  async function write(signal: AbortSignal): Promise<Fault | undefined> {
    const read = await leases.read(name, signal)
    if (!read.ok) return read.fault
    const before = read.value
    const isSame = before?.holder === identity
    // At the first write the holder is the process that was here before this one.
    if (hasWritten && before !== undefined && !isSame) twinSeenMs = time.steadyMs()
    const writing: LeaseWriting = {
      ...heldBy(before, identity, time.now()),
      durationSeconds: Math.min(MISSED_HEARTBEATS * parts.heartbeatSeconds, 3_600),
      part: 'node',
      annotations: formatNote({ node, ...parts.note() }),
    }
    const written = await writeLease(leases, name, writing, before, signal)
    if (!written.ok) return written.fault
    hasWritten = true
    const { writtenAt } = written.value
    if (writtenAt !== undefined) anchor = { serverMs: writtenAt.getTime(), steadyMs: time.steadyMs() }
    return undefined
  }

  function seenNode(lease: FoundLease): SeenNode | undefined {
    const note = parseNote(lease.annotations)
    // The name is checked too, so that one node cannot speak for another whose Lease RBAC keeps from it.
    if (note === undefined || lease.name !== nodeLeaseNameOf(note.node)) return undefined
    if (note.node === node && lease.holder === identity) return { ...note, silentSeconds: 0, isLive: true }
    const serverNowMs = anchor && anchor.serverMs + time.steadyMs() - anchor.steadyMs
    // Not known: it counts as live, for nothing must go because of a node that is only not seen.
    if (serverNowMs === undefined || lease.writtenAt === undefined) return { ...note, silentSeconds: 0, isLive: true }
    const silentSeconds = Math.max(0, Math.round((serverNowMs - lease.writtenAt.getTime()) / 1_000))
    // The server's times are whole seconds.
    return { ...note, silentSeconds, isLive: silentSeconds <= lease.durationSeconds + 1 }
  }

  return {
    changed: () => wake.abort(),
    async nodes(signal) {
      const listed = await leases.ofNodes(signal)
      if (!listed.ok) return listed
      const nodes = listed.value.flatMap((lease) => seenNode(lease) ?? [])
      return { ok: true, value: nodes.sort((a, b) => (a.node < b.node ? -1 : 1)) }
    },
    fault: () => fault,
    hasTwin: () => twinSeenMs !== undefined && time.steadyMs() - twinSeenMs < MISSED_HEARTBEATS * heartbeatMs,
    async run(signal) {
      let failures = 0
      while (!signal.aborted) {
        await time.sleep(GATHER_MS * time.random(), signal).catch(() => undefined)
        if (signal.aborted) return
        wake = new AbortController()
        const met = await write(signal)
        if (signal.aborted) return
        fault = met
        failures = met === undefined ? 0 : failures + 1
        const retryMs = Math.max(FIRST_RETRY_MS * 2 ** Math.min(failures, 5), met?.retryAfterMs ?? 0)
        const pauseMs = met === undefined ? heartbeatMs : Math.min(retryMs, heartbeatMs)
        await time.sleep(spread(pauseMs, time.random()), AbortSignal.any([signal, wake.signal])).catch(() => undefined)
      }
    },
  }
}
