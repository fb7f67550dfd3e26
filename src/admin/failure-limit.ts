import { isIPv6 } from 'node:net'
import { ipv6Groups } from '../ipv6-groups.ts'

const WINDOW_MS = 60_000
const FAILURES_PER_ADDRESS = 5
const FAILURES_IN_ALL = 60
const MAX_ADDRESSES = 1_024

type Count = { failures: number; untilMs: number }

export type FailureLimit = {
  /**
   * Counts a failure of this address; gives the seconds for which it is to stay away where it has failed too often (five times a minute, or all
   * addresses together sixty times).
   */
  failed(address: string): number | undefined
  /** The seconds for which this address is to stay away. Counts nothing. */
  held(address: string): number | undefined
}

/** Memory is bounded: whoever comes from more addresses than are kept meets the limit of all. `nowMs` is monotonic. */
export function createFailureLimit(nowMs: () => number): FailureLimit {
  const counts = new Map<string, Count>()
  const all: Count = { failures: 0, untilMs: 0 }

  function countOf(address: string): Count {
    const source = sourceOf(address)
    const found = counts.get(source) ?? { failures: 0, untilMs: 0 }
    if (counts.size >= MAX_ADDRESSES && !counts.has(source)) {
      const [oldest = ''] = counts.keys()
      counts.delete(oldest)
    }
    counts.set(source, found)
    return found
  }

  return {
    failed(address) {
      const now = nowMs()
      return longest([step(countOf(address), FAILURES_PER_ADDRESS, now), step(all, FAILURES_IN_ALL, now)])
    },
    held(address) {
      const now = nowMs()
      return longest([left(counts.get(sourceOf(address)), FAILURES_PER_ADDRESS, now), left(all, FAILURES_IN_ALL, now)])
    },
  }
}

/** Counts within a minute from the first failure; the one that reaches the limit begins a minute in which all are too many. */
function step(count: Count, limit: number, nowMs: number): number | undefined {
  if (nowMs >= count.untilMs) Object.assign(count, { failures: 0, untilMs: nowMs + WINDOW_MS })
  count.failures += 1
  if (count.failures === limit) count.untilMs = nowMs + WINDOW_MS
  return count.failures > limit ? count.untilMs - nowMs : undefined
}

function left(count: Count | undefined, limit: number, nowMs: number): number | undefined {
  return count !== undefined && count.failures >= limit && nowMs < count.untilMs ? count.untilMs - nowMs : undefined
}

/** In seconds. */
function longest(waitsMs: (number | undefined)[]): number | undefined {
  const known = waitsMs.filter((waitMs) => waitMs !== undefined)
  return known.length === 0 ? undefined : Math.max(1, Math.ceil(Math.max(...known) / 1_000))
}

/** An IPv6 caller has a whole /64 to come from. */
function sourceOf(address: string): string {
  const bare = address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '')
  return isIPv6(bare) ? ipv6Groups(bare).slice(0, 4).join(':') : bare
}
