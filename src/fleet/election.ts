import type { Fault } from '../mirror/fault.ts'
import { spread } from '../mirror/keep-up.ts'
import { type FoundLease, heldBy, type Leases, type LeaseWriting, writeLease } from './leases.ts'
import { LEADER_LEASE, NODE_ANNOTATION } from './names.ts'
import type { Time } from './time.ts'

export type Election = {
  /** Whether this node is the one that writes, for at least as long as a write may be on its way. To be asked right before every write. */
  mayWrite(): boolean
  /** The node that was last seen to lead; undefined while nobody is known to. */
  leader(): string | undefined
  fault(): Fault | undefined
  /** Takes part until the signal is aborted; gives the lease back then. Never throws. */
  run(signal: AbortSignal): Promise<void>
}

/** Of its duration, what is left unused at the end: for a request that is sent in the last moment, and for clocks that run unequally fast. */
const UNUSED = 0.25
/** How often the Lease is looked at, as a part of its duration: often enough to lose none of two renewals, and no oftener, since many look. */
const LOOK = { leading: 1 / 5, waiting: 1 / 3, watching: 3 / 5 }

/**
 * Has one node of a fleet lead, by a Lease. No time of day is ever compared: whoever waits counts from when he himself saw the Lease change, and whoever
 * leads counts from before he sent his last renewal. So the leader stops before any other begins, however wrong the clocks are, and also one that was
 * stopped for an hour finds out before his next write.
 */
export function createElection(parts: {
  leases: Leases
  node: string
  /** Another for each process, so that one that was started anew does not take itself for its predecessor. */
  identity: string
  leaseSeconds: number
  /** Whether this node may lead at all; else it only looks who does. */
  stands: boolean
  time: Time
  /** Leadership was won, or is over. Must not throw. */
  onChange: (leads: boolean) => void
}): Election {
  const { leases, identity, leaseSeconds, time } = parts
  const leaseMs = leaseSeconds * 1_000
  let validUntilMs = Number.NEGATIVE_INFINITY
  let told = false
  let seen: { version: string; atMs: number; lease: FoundLease } | undefined
  let fault: Fault | undefined

  const mayWrite = () => time.steadyMs() < validUntilMs - leaseMs * UNUSED

  function tell(): void {
    const leads = mayWrite()
    if (leads === told) return
    told = leads
    parts.onChange(leads)
  }

  function see(lease: FoundLease): void {
    if (seen?.version !== lease.resourceVersion) {
      seen = { version: lease.resourceVersion, atMs: time.steadyMs(), lease }
    }
  }

  function isFree({ lease, atMs }: { lease: FoundLease; atMs: number }): boolean {
    return lease.holder === '' || time.steadyMs() - atMs >= lease.durationSeconds * 1_000
  }

  function writingOf(before: FoundLease | undefined, holder: string): LeaseWriting {
    return {
      ...heldBy(before, holder, time.now()),
      durationSeconds: leaseSeconds,
      part: 'leader',
      annotations: { [NODE_ANNOTATION]: holder === '' ? '' : parts.node },
    }
  }

  async function attempt(signal: AbortSignal): Promise<void> {
    const read = await leases.read(LEADER_LEASE, signal)
    fault = read.ok ? undefined : read.fault
    if (!read.ok) return
    if (read.value !== undefined) see(read.value)
    if (!parts.stands) return
    const isOurs = read.value?.holder === identity
    // One that says it is ours and that we know nothing of was written by a request whose answer got lost.
    if (read.value !== undefined && !isOurs && seen !== undefined && !isFree(seen)) return
    // Counted from before it is sent: the others count from when it has arrived.
    const sentAtMs = time.steadyMs()
    const written = await writeLease(leases, LEADER_LEASE, writingOf(read.value, identity), read.value, signal)
    if (!written.ok) {
      fault = written.fault.kind === 'conflict' ? undefined : written.fault
      return
    }
    see(written.value)
    validUntilMs = sentAtMs + leaseMs
  }

  async function release(): Promise<void> {
    const isHeld = time.steadyMs() < validUntilMs
    validUntilMs = Number.NEGATIVE_INFINITY
    tell()
    if (isHeld && seen?.lease.holder === identity) {
      await leases.replace(LEADER_LEASE, writingOf(seen.lease, ''), seen.lease, AbortSignal.timeout(leaseMs / 4))
    }
  }

  return {
    mayWrite,
    leader: () => {
      if (mayWrite()) return parts.node
      const name = seen !== undefined && !isFree(seen) ? seen.lease.annotations[NODE_ANNOTATION] : undefined
      return name === '' ? undefined : name
    },
    fault: () => fault,
    async run(signal) {
      while (!signal.aborted) {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(leaseMs / 2)])
        await attempt(limit)
        if (signal.aborted) break
        tell()
        const leftMs = validUntilMs - leaseMs * UNUSED - time.steadyMs()
        const pauseMs = spread(
          leaseMs * (leftMs > 0 ? LOOK.leading : LOOK[parts.stands ? 'waiting' : 'watching']),
          time.random(),
        )
        await time.sleep(leftMs > 0 ? Math.min(pauseMs, leftMs) : pauseMs, signal).catch(() => undefined)
        tell()
      }
      await release()
    },
  }
}
