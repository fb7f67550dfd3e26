import type { ServerResponse } from 'node:http'

/** `brokenBy` says who ended it before its end. */
export type Streamed = { bytes: number; complete: boolean; brokenBy: 'registry' | 'caller' | undefined }

/** An answer from upstream, its body unread, whichever way it was asked for. Exactly one of `stream` and `discard` is to be called. */
export type UpstreamAnswer = {
  status: number
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>
  /** Each WWW-Authenticate field as it came. */
  challenges: string[]
  /**
   * Streams the body to the caller, untouched, and ends his answer; its head was written before. A body that is cut short resets
   * the caller's connection, so that containerd resumes with Range instead of taking a short blob for a whole one; a caller that
   * leaves ends the stream. Never throws. `onPiece` sees each piece before it is sent, and must copy what it keeps.
   */
  stream(response: ServerResponse, idleTimeoutMs: number, onPiece?: (piece: Buffer) => void): Promise<Streamed>
  /** The body is not passed on. A short one is read to its end, so that the connection can be used again. */
  discard(): void
}
