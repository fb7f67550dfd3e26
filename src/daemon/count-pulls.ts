import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fromLine } from '../audit/line.ts'
import { AUDIT_FILE } from '../audit/writer.ts'
import { errnoOf } from '../errors.ts'

/** More is not read: what is counted then is what the newest part of the file holds. */
const MAX_BYTES = 256 * 1024 * 1024

/** Manifests that were pulled with this credential since then, by the audit file of now; files that were rotated away are not read. */
export async function countPulls(auditFolder: string, key: string, since: Date): Promise<number> {
  const path = join(auditFolder, AUDIT_FILE)
  const size = await stat(path).then(
    (found) => found.size,
    (thrown: unknown) => {
      if (errnoOf(thrown) === 'ENOENT') return 0
      throw thrown
    },
  )
  if (size === 0) return 0
  const from = since.toISOString()
  let count = 0
  const lines = createInterface({
    input: createReadStream(path, { start: Math.max(0, size - MAX_BYTES), end: size - 1 }),
    crlfDelay: Number.POSITIVE_INFINITY,
  })
  for await (const line of lines) {
    // Most lines are of something else, and need no parsing.
    if (!line.includes('"pull.end"') || !line.includes(JSON.stringify(key))) continue
    const record = fromLine(line)
    if (record?.type !== 'pull.end' || record.credential !== key || record.kind !== 'manifest') continue
    if (record.status >= 200 && record.status < 400 && record.time >= from) count += 1
  }
  return count
}
