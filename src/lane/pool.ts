import { Connection, type Place } from './connection.ts'

const MAX_IDLE = 16
/** A registry that moved is asked at its new address when the old connections have ended, however busy they were. */
const LONGEST_LIFE_MS = 300_000

export type PoolLimits = { maxConnections: number; idleTimeoutMs: number; longestLifeMs?: number }

type Idle = { connection: Connection; timer: NodeJS.Timeout }
type Waiting = { resolve: () => void; reject: (error: unknown) => void }

/** The lane's connections to one registry: kept for the next request, limited in number; who finds none free waits in line. */
export class Pool {
  readonly #place: Place
  readonly #limits: PoolLimits
  readonly #idle: Idle[] = []
  readonly #waiting: Waiting[] = []
  #busy = 0

  constructor(place: Place, limits: PoolLimits) {
    this.#place = place
    this.#limits = limits
  }

  /**
   * A connection for one request; `release` gives it back.
   * @throws what `Connection.open` throws, and the signal's reason
   */
  async take(signal: AbortSignal): Promise<Connection> {
    // Who is called from the line takes over the place of the one that left.
    if (this.#busy >= this.#limits.maxConnections) await this.#wait(signal)
    else this.#busy += 1
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      clearTimeout(last.timer)
      if (last.connection.isOpen) return last.connection
      last.connection.destroy()
    }
    try {
      return await Connection.open(this.#place)
    } catch (error) {
      this.#left()
      throw error
    }
  }

  release(connection: Connection, outcome: 'free' | 'dead'): void {
    if (outcome === 'free' && connection.isOpen && this.#idle.length < MAX_IDLE && this.#isYoung(connection)) {
      connection.rest()
      const timer = setTimeout(() => {
        const place = this.#idle.findIndex((one) => one.connection === connection)
        if (place !== -1) this.#idle.splice(place, 1)
        connection.destroy()
      }, this.#limits.idleTimeoutMs).unref()
      this.#idle.push({ connection, timer })
    } else connection.destroy()
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

  #left(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#busy -= 1
    else next.resolve()
  }

  #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting: Waiting = { resolve, reject }
    this.#waiting.push(waiting)
    const leave = () => {
      const place = this.#waiting.indexOf(waiting)
      if (place === -1) return
      this.#waiting.splice(place, 1)
      reject(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', leave))
  }
}
