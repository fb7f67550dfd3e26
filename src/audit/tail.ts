import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, RegcreddError } from '../errors.ts'
import { fromLine } from './line.ts'
import { BLOCK_BYTES, MAX_LINE_BYTES, readPage } from './page.ts'
import type { AuditRecord } from './record.ts'
import { AUDIT_FILE } from './writer.ts'

/**
 * Records of a folder's audit file, oldest first, at most `limit`: the newest ones, or with `after` the ones that follow that number,
 * so that a reader can page on. Reads what it needs of the file and no more. Lines that are no records are passed over; the numbers tell. Throws AUDIT_UNAVAILABLE when the file cannot be read; one that is not there holds no records.
 */
export async function readAudit(
  folder: string,
  { limit, after }: { limit: number; after?: number | undefined },
): Promise<AuditRecord[]> {
  try {
    await using file = await open(join(folder, AUDIT_FILE), 'r')
    return after === undefined ? await readNewest(file, limit) : await readPage(file, after, limit)
  } catch (cause) {
    const code = errnoOf(cause) ?? 'EIO'
    if (code === 'ENOENT') return []
    throw new RegcreddError('AUDIT_UNAVAILABLE', `it cannot be read: ${code}`, { cause })
  }
}

async function readNewest(file: FileHandle, limit: number): Promise<AuditRecord[]> {
  const newestFirst: AuditRecord[] = []
  for await (const line of linesBackwards(file)) {
    if (newestFirst.length >= limit) break
    const record = fromLine(line)
    if (record !== undefined) newestFirst.push(record)
  }
  return newestFirst.reverse()
}

/** Whole lines only: what stands after the last newline was never acknowledged. */
async function* linesBackwards(file: FileHandle): AsyncGenerator<string> {
  const block = Buffer.alloc(BLOCK_BYTES)
  let rest = Buffer.alloc(0)
  let afterLastNewline = true
  let position = (await file.stat()).size
  while (position > 0) {
    const length = Math.min(BLOCK_BYTES, position)
    position -= length
    const { bytesRead } = await file.read(block, 0, length, position)
    if (bytesRead < length) return // cut by a rotation meanwhile
    let text = Buffer.concat([block.subarray(0, length), rest])
    for (let newline = text.lastIndexOf(0x0a); newline !== -1; newline = text.lastIndexOf(0x0a)) {
      if (!afterLastNewline) yield text.toString('utf8', newline + 1)
      afterLastNewline = false
      text = text.subarray(0, newline)
    }
    rest = text.length > MAX_LINE_BYTES ? Buffer.alloc(0) : Buffer.from(text)
  }
  if (!afterLastNewline) yield rest.toString('utf8')
}
