import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { tcpUnder } from './tcp-under.ts'
import type { Streamed, UpstreamAnswer } from './upstream-answer.ts'

/** An answer that node:http has read the head of. */
export function streamedAnswer(answer: IncomingMessage): UpstreamAnswer {
  return {
    status: answer.statusCode ?? 502,
    headers: answer.headers,
    challenges: answer.headersDistinct['www-authenticate'] ?? [],
    stream: (response, idleTimeoutMs, onPiece) => stream(answer, response, idleTimeoutMs, onPiece),
    discard: () => discard(answer),
  }
}

/**
 * Streams an answer to the caller, untouched. A body that the registry cuts short resets the caller's connection, so that containerd
 * resumes with Range instead of taking a short blob for a whole one; a caller that leaves ends the registry's stream.
 * Never throws; `complete` says whether every byte was handed over.
 */
async function stream(
  answer: IncomingMessage,
  response: ServerResponse,
  idleTimeoutMs: number,
  onPiece: ((piece: Buffer) => void) | undefined,
): Promise<Streamed> {
  let bytes = 0
  let brokenBy: 'registry' | 'caller' = 'caller'
  // HTTP/1.0 has no chunks: there the end of the connection is the end of the body, and only a reset tells that it is cut.
  const endsByClosing = !response.chunkedEncoding && !response.hasHeader('content-length')
  answer.once('error', () => {
    // A caller that leaves ends the answer, too. Not by a listener of its own: over TLS a response has as many as node takes without a warning.
    if (response.destroyed) return
    brokenBy = 'registry'
    if (endsByClosing && response.socket !== null) tcpUnder(response.socket).resetAndDestroy()
  })
  // A caller that reads slowly pauses the registry's socket; that silence is not the registry's.
  const idle = setTimeout(() => (response.writableNeedDrain ? idle.refresh() : answer.destroy()), idleTimeoutMs)
  answer.on('data', (piece: Buffer) => {
    bytes += piece.length
    onPiece?.(piece)
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
function discard(answer: IncomingMessage): void {
  const length = Number(answer.headers['content-length'] ?? Number.NaN)
  if (length <= 16_384) answer.resume()
  else answer.destroy()
}
