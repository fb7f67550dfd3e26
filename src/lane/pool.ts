import { Connection, type Place } from './connection.ts'
import { Line } from './line.ts'

const MAX_IDLE = 16
/** So many connections to one registry are being made at a time: a cold burst is neither a storm there nor a stall of all other pulls here. */
export const MAX_CONNECTING = 32
/** A registry that moved is asked at its new address when the old connections have ended, however busy they were. */
const LONGEST_LIFE_MS = 300_000

export type PoolLimits = { maxConnections: number; idleTimeoutMs: number; longestLifeMs?: number }

type Idle = { connection: Connection; timer: NodeJS.Timeout }

/** The lane's connections to one registry: kept for the next request, limited in number; who finds none free waits in line. */
export class Pool {
  readonly #place: Place
  readonly #limits: PoolLimits
  readonly #idle: Idle[] = []
  /** For one of the places. */
  readonly #waiting = new Line<void>()
  /** For the turn to connect, or for a connection that has become free before that. */
  readonly #toConnect = new Line<Connection | undefined>()
  #busy = 0
  #connecting = 0

  constructor(place: Place, limits: PoolLimits) {
    this.#place = place
    this.#limits = limits
  }

  /**
   * A connection for one request; `release` gives it back.
   * @throws what `Connection.open` throws, UPSTREAM_TIMEOUT where the turn to connect does not come, and the signal's reason
   */
  async take(signal: AbortSignal): Promise<Connection> {
    // Who is called from the line takes over the place of the one that left.
    if (this.#busy >= this.#limits.maxConnections) await this.#waiting.wait(signal)
    else this.#busy += 1
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      clearTimeout(last.timer)
      if (last.connection.isOpen) return last.connection
      last.connection.destroy()
    }
    try {
      return await this.#connect(signal)
    } catch (error) {
      this.#left()
      throw error
    }
  }

  release(connection: Connection, outcome: 'free' | 'dead'): void {
    if (outcome === 'free' && connection.isOpen && this.#isYoung(connection)) this.#keep(connection)
    else connection.destroy()
    this.#left()
  }

  close(): void {
    for (const { connection, timer } of this.#idle.splice(0)) {
      clearTimeout(timer)
      connection.destroy()
    }
  }

  #isYoung({ openedAtMs }: Connection): boolean {
    return performance.now() - openedAtMs < (this.#limits.longestLifeMs ?? LONGEST_LIFE_MS)
  }

  #keep(connection: Connection): void {
    connection.rest()
    if (this.#toConnect.call(connection)) return
    if (this.#idle.length >= MAX_IDLE) {
      connection.destroy()
      return
    }
    const timer = setTimeout(() => {
      const place = this.#idle.findIndex((one) => one.connection === connection)
      if (place !== -1) this.#idle.splice(place, 1)
      connection.destroy()
    }, this.#limits.idleTimeoutMs).unref()
    this.#idle.push({ connection, timer })
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    if (this.#connecting >= MAX_CONNECTING) {
      const free = await this.#toConnect.wait(signal, this.#place.connectTimeoutMs)
      if (free !== undefined) return free
    } else this.#connecting += 1
    try {
      return await Connection.open(this.#place)
    } finally {
      if (!this.#toConnect.call(undefined)) this.#connecting -= 1
    }
  }

  #left(): void {
    if (!this.#waiting.call()) this.#busy -= 1
  }
}
