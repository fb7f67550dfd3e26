import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'

/** `brokenBy` says who ended it before its end. */
export type Streamed = { bytes: number; complete: boolean; brokenBy: 'registry' | 'caller' | undefined }

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
  let brokenBy: Streamed['brokenBy']
  answer.once('error', () => {
    brokenBy ??= 'registry'
  })
  response.once('close', () => {
    brokenBy ??= 'caller'
  })
  response.writeHead(status, headers)
  // A caller that reads slowly pauses the registry's socket; that silence is not the registry's.
  const idle = setTimeout(() => (response.writableNeedDrain ? idle.refresh() : answer.destroy()), idleTimeoutMs)
  answer.on('data', (piece: Buffer) => {
    bytes += piece.length
    idle.refresh()
  })
  try {
    await pipeline(answer, response)
    return { bytes, complete: true, brokenBy: undefined }
  } catch {
    // pipeline has destroyed both ends by now: whoever is still there sees a reset.
    return { bytes, complete: false, brokenBy }
  } finally {
    clearTimeout(idle)
  }
}

/** Ends an answer that is not passed on. Short ones are read to the end, so that the connection can be used again. */
export function discard(answer: IncomingMessage): void {
  const length = Number(answer.headers['content-length'] ?? Number.NaN)
  if (length <= 16_384) answer.resume()
  else answer.destroy()
}
