import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { RegcreddError } from '../errors.ts'

const HEARTBEAT_MS = 15_000
/** How long a reader may take to make room for the next event. */
const SLOW_READER_MS = 30_000
/** A reader comes again after this, so that a token that was revoked meanwhile is not served for ever. */
const MAX_STREAM_MS = 900_000
const MAX_STREAMS = 32

export type StreamTimes = { heartbeatMs: number; slowReaderMs: number; maxStreamMs: number }
const usualTimes: StreamTimes = {
  heartbeatMs: HEARTBEAT_MS,
  slowReaderMs: SLOW_READER_MS,
  maxStreamMs: MAX_STREAM_MS,
}

export type Streams = ReturnType<typeof createStreams>

/** Event streams (HTML § 9.2, server-sent events) over one limit: at most 32 at a time. */
export function createStreams(times: StreamTimes = usualTimes) {
  let open = 0
  return {
    /**
     * Answers with an event `state` for each value, the first one at once, and with `end` for the one of which `isLast` is true. A reader who does
     * not read, or who stays for a quarter of an hour, is cut off; what comes again gets the state of then first. Resolves when the stream
     * has ended; throws TOO_MANY_STREAMS, and what the first step of `follow` throws.
     */
    async send<T>(
      response: ServerResponse,
      follow: (signal: AbortSignal) => AsyncIterable<T>,
      isLast: (value: T) => boolean,
      toJson: (value: T) => object,
    ): Promise<void> {
      if (open >= MAX_STREAMS) throw new RegcreddError('TOO_MANY_STREAMS', undefined, { retryAfterS: 10 })
      open += 1
      const ended = new AbortController()
      response.once('close', () => ended.abort())
      const lifetime = setTimeout(() => ended.abort(), times.maxStreamMs)
      const heartbeat = setInterval(() => {
        if (response.headersSent && !response.writableNeedDrain) response.write(':\n\n')
      }, times.heartbeatMs)
      try {
        for await (const value of follow(ended.signal)) {
          if (!response.headersSent) begin(response)
          const name = isLast(value) ? 'end' : 'state'
          const isRoom = response.write(`event: ${name}\ndata: ${JSON.stringify(toJson(value))}\n\n`)
          if (isLast(value) || ended.signal.aborted) break
          if (!isRoom) await drained(response, times.slowReaderMs, ended.signal)
        }
        if (!response.headersSent) begin(response)
        response.end()
      } catch (thrown) {
        if (!response.headersSent) throw thrown
        response.destroy()
      } finally {
        clearTimeout(lifetime)
        clearInterval(heartbeat)
        ended.abort()
        open -= 1
      }
    },
  }
}

function begin(response: ServerResponse): void {
  // A proxy between must not gather what is to be seen at once.
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
  response.flushHeaders()
}

/** Rejects when the signal is aborted, as when the reader goes away, or when he makes no room in time. */
async function drained(response: ServerResponse, timeoutMs: number, signal: AbortSignal): Promise<void> {
  await once(response, 'drain', { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) })
}
