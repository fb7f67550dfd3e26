import type { FileHandle } from 'node:fs/promises'
import { fromLine } from './line.ts'
import type { AuditRecord } from './record.ts'

export const BLOCK_BYTES = 64 * 1024
/** A line longer than any record can be; what is this long is passed over. */
export const MAX_LINE_BYTES = 256 * 1024

type Line = { text: string; endsAt: number }

/**
 * The records that follow number `after`, oldest first, at most `limit`. Numbers grow through the file, so the place is found by halving: the cost
 * is some blocks and the page, however long the file and wherever the page.
 */
export async function readPage(file: FileHandle, after: number, limit: number): Promise<AuditRecord[]> {
  const { size } = await file.stat()
  const page: AuditRecord[] = []
  for await (const { text } of linesForwards(file, await findStart(file, after, size), size)) {
    if (page.length >= limit) break
    const record = fromLine(text)
    if (record !== undefined && record.seq > after) page.push(record)
  }
  return page
}

/** The start of a line before which all records are numbered `after` or less, less than two blocks before the first that is not. */
async function findStart(file: FileHandle, after: number, size: number): Promise<number> {
  let low = 0
  let high = size
  while (high - low > BLOCK_BYTES) {
    const middle = low + Math.floor((high - low) / 2)
    const first = await firstRecordFrom(file, middle, high)
    if (first !== undefined && first.seq <= after) low = first.endsAt
    else high = middle
  }
  return low
}

/** The first record of which the line begins in `from`..`to`. */
async function firstRecordFrom(
  file: FileHandle,
  from: number,
  to: number,
): Promise<{ seq: number; endsAt: number } | undefined> {
  let isWhole = false
  // One byte earlier: where that is the end of a line, a line begins at `from`.
  for await (const { text, endsAt } of linesForwards(file, from - 1, to + MAX_LINE_BYTES)) {
    const record = isWhole ? fromLine(text) : undefined
    if (record !== undefined) return { seq: record.seq, endsAt }
    if (endsAt >= to) return undefined
    isWhole = true
  }
  return undefined
}

/** Lines that end before `to`; the first one is what is left of a line, unless one begins at `from`. */
async function* linesForwards(file: FileHandle, from: number, to: number): AsyncGenerator<Line> {
  const block = Buffer.alloc(BLOCK_BYTES)
  let rest = Buffer.alloc(0)
  let position = from
  while (position < to) {
    const { bytesRead } = await file.read(block, 0, Math.min(BLOCK_BYTES, to - position), position)
    if (bytesRead === 0) return
    position += bytesRead
    let text = Buffer.concat([rest, block.subarray(0, bytesRead)])
    for (let newline = text.indexOf(0x0a); newline !== -1; newline = text.indexOf(0x0a)) {
      const line = text.toString('utf8', 0, newline)
      text = text.subarray(newline + 1)
      yield { text: line, endsAt: position - text.length }
    }
    // What is left of a line that is too long cannot be taken for a record: it does not begin as one.
    rest = text.length > MAX_LINE_BYTES ? Buffer.from('-') : Buffer.from(text)
  }
}
