const WINDOW_MS = 60_000
const RECORDS_PER_WINDOW = 20

type Detail = Record<string, string | number>

export type Refusals = {
  note(refusal: Detail): void
  /** Records how many were left out since the last record. */
  close(): void
}

/** Records refusals, at most twenty a minute, so that nobody fills the audit with them; the next record tells how many were left out. */
export function createRefusals(record: (detail: Detail) => void, nowMs: () => number): Refusals {
  let windowEndsMs = 0
  let recorded = 0
  let leftOut = 0

  function owed(): { leftOut?: number } {
    const count = leftOut
    leftOut = 0
    return count === 0 ? {} : { leftOut: count }
  }

  return {
    note(refusal) {
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
      record({ ...refusal, ...owed() })
    },
    close() {
      if (leftOut > 0) record(owed() as { leftOut: number })
    },
  }
}
