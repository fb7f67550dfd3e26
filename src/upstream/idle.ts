import type http from 'node:http'
import type { Duplex } from 'node:stream'
import { insideOf } from './inner-agent.ts'

const MAX_IDLE = 16
/** A registry that moved is asked at its new address when the old connections have ended, however busy they were. */
const LONGEST_LIFE_MS = 300_000

/** Bounds how many connections an agent keeps that nobody uses, over all hosts, and for how long any is used again. */
export function boundIdle(
  agent: http.Agent,
  { maxIdle, nowMs, longestLifeMs = LONGEST_LIFE_MS }: { maxIdle: number; nowMs: () => number; longestLifeMs?: number },
): void {
  const inner = insideOf(agent)
  const keep = inner.keepSocketAlive.bind(agent)
  const seenAtMs = new WeakMap<Duplex, number>()
  inner.keepSocketAlive = (socket) => {
    // It is asked after the first request, so the request's own time is not counted: what matters is an end.
    const bornAtMs = seenAtMs.get(socket) ?? nowMs()
    seenAtMs.set(socket, bornAtMs)
    const idle = Object.values(agent.freeSockets).reduce((count, sockets) => count + (sockets?.length ?? 0), 0)
    if (idle >= Math.min(MAX_IDLE, maxIdle) || nowMs() - bornAtMs >= longestLifeMs) return false
    return keep(socket)
  }
}
