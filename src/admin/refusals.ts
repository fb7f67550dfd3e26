import type { ErrorCode } from '../errors.ts'

const WINDOW_MS = 60_000
const RECORDS_PER_WINDOW = 20

/** Somebody who was not let in. `token` is the id that he named, if any; who has no right token may claim any. */
export type Refusal = {
  code: ErrorCode
  peer: string
  method: string
  path: string
  token: string | undefined
}

export type Refusals = {
  note(refusal: Refusal): void
  /** Records how many were left out since the last record. */
  close(): void
}

/** Records refusals, at most twenty a minute, so that nobody fills the audit with them; the next record tells how many were left out. */
export function createRefusals(
  record: (detail: Record<string, string | number>) => void,
  nowMs: () => number,
): Refusals {
  let windowEndsMs = 0
  let recorded = 0
  let leftOut = 0

  function owed(): { leftOut?: number } {
    const count = leftOut
    leftOut = 0
    return count === 0 ? {} : { leftOut: count }
  }

  return {
    note({ token, ...refusal }) {
      const now = nowMs()
      if (now >= windowEndsMs) {
        windowEndsMs = now + WINDOW_MS
        recorded = 0
      }
      if (recorded >= RECORDS_PER_WINDOW) {
        leftOut += 1
        return
      }
      recorded += 1
      record({ ...refusal, ...(token !== undefined && { token }), ...owed() })
    },
    close() {
      if (leftOut > 0) record(owed() as { leftOut: number })
    },
  }
}
