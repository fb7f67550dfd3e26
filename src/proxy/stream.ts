import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'

export type Streamed = { bytes: number; complete: boolean }

/**
 * Streams an answer to the caller, untouched. A body that the registry cuts short resets the caller's connection, so that containerd
 * resumes with Range instead of taking a short blob for a whole one; a caller that leaves ends the registry's stream.
 * Never throws; `complete` says whether every byte was handed over.
 */
export async function streamAnswer(
  answer: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  idleTimeoutMs: number,
): Promise<Streamed> {
  let bytes = 0
  response.writeHead(status, headers)
  answer.on('data', (piece: Buffer) => {
    bytes += piece.length
  })
  // A caller that reads slowly pauses the registry's socket; that silence is not the registry's.
  answer.setTimeout(idleTimeoutMs, () => {
    if (!response.writableNeedDrain) answer.destroy()
  })
  try {
    await pipeline(answer, response)
    return { bytes, complete: true }
  } catch {
    // pipeline has destroyed both ends by now: whoever is still there sees a reset.
    return { bytes, complete: false }
  } finally {
    answer.setTimeout(0)
  }
}

/** Ends an answer that is not passed on. Short ones are read to the end, so that the connection can be used again. */
export function discard(answer: IncomingMessage): void {
  const length = Number(answer.headers['content-length'] ?? Number.NaN)
  if (length <= 16_384) answer.resume()
  else answer.destroy()
}
