import { RegcreddError } from '../errors.ts'

type Waiting<T> = { resolve: (value: T) => void }

/** Those that wait for something, in the order in which they came. */
export class Line<T> {
  readonly #waiting: Waiting<T>[] = []

  /**
   * Waits to be called.
   * @throws the signal's reason; UPSTREAM_TIMEOUT where `withinMs` is given and over
   */
  wait(signal: AbortSignal, withinMs?: number): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const waiting = { resolve }
    this.#waiting.push(waiting)
    const leave = (reason: unknown) => {
      const place = this.#waiting.indexOf(waiting)
      if (place === -1) return
      this.#waiting.splice(place, 1)
      reject(reason)
    }
    const aborted = () => leave(signal.reason)
    const late = () => leave(new RegcreddError('UPSTREAM_TIMEOUT', 'the turn to connect did not come in time'))
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs)
    signal.addEventListener('abort', aborted, { once: true })
    return promise.finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
    })
  }

  /** Calls the first; `false` where nobody waits. */
  call(value: T): boolean {
    const first = this.#waiting.shift()
    first?.resolve(value)
    return first !== undefined
  }
}
