import type { OutgoingHttpHeaders } from 'node:http'
import { RegcreddError } from '../errors.ts'
import { LaneAnswer, type NoHead } from './answer.ts'
import type { Place } from './connection.ts'
import type { Head } from './head.ts'
import { Pool, type PoolLimits } from './pool.ts'

export type LaneRequest = {
  method: 'GET' | 'HEAD'
  /** Path and query, as they go onto the request line. */
  path: string
  headers: OutgoingHttpHeaders
  answerTimeoutMs: number
}

export type Taken = { head: Head; body: LaneAnswer }

export type Lane = {
  /**
   * Sends one request without a body. Where the answer is `refused`, as not plain, or `lost`, as a kept connection may be, the same is to
   * be asked by node:http, which GET and HEAD allow.
   * @throws UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE for a caller that went away, and what the connection failed with
   */
  send(request: LaneRequest, signal: AbortSignal): Promise<Taken | NoHead>
  close(): void
}

/** A way to one registry that takes plain answers only, and takes them fast. */
export function createLane(place: Place, limits: PoolLimits): Lane {
  const pool = new Pool(place, limits)

  async function send(request: LaneRequest, signal: AbortSignal): Promise<Taken | NoHead> {
    const bytes = requestBytes(request)
    if (bytes === undefined) return 'refused'
    const connection = await pool.take(signal)
    const { promise, resolve, reject } = Promise.withResolvers<Taken | NoHead>()
    const stop = (error: RegcreddError) => {
      reject(error)
      answer.abandon()
    }
    const aborted = () => stop(new RegcreddError('UPSTREAM_UNREACHABLE', 'the caller went away'))
    const timer = setTimeout(() => stop(new RegcreddError('UPSTREAM_TIMEOUT')), request.answerTimeoutMs)
    const answer = new LaneAnswer(connection, request.method, {
      onHead: (head) => resolve(typeof head === 'string' ? head : { head, body: answer }),
      release: (outcome) => pool.release(connection, outcome),
    })
    if (signal.aborted) aborted()
    else {
      signal.addEventListener('abort', aborted, { once: true })
      connection.send(bytes, answer)
    }
    return promise.finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
    })
  }
  return { send, close: () => pool.close() }
}

/** `undefined` where a byte could end a line early; nothing that node:http would refuse is sent here. */
function requestBytes({ method, path, headers }: LaneRequest): string | undefined {
  let bytes = `${method} ${path} HTTP/1.1\r\n`
  if (!/^\/[\x21-\x7e]*$/.test(path)) return undefined
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string' || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value) || !/^[a-z-]+$/.test(name))
      return undefined
    bytes += `${name}: ${value}\r\n`
  }
  return `${bytes}\r\n`
}
