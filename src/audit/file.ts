import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf, RegcreddError } from '../errors.ts'
import { fromLine } from './line.ts'

const MODE = 0o640
const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants
/** The most that is read, and may be cut, at the end of a file to find its last good record. */
const MAX_TAIL_BYTES = 1024 * 1024

/** What stood after the last good record and was cut. */
export type Cut = { bytes: number; sha256: string }

/** The audit file, open for appending whole lines. Errors are those of the file system, as they come. */
export class AuditFile {
  /** Number of the last record, 0 in an empty file. */
  readonly lastSeq: number
  readonly cut: Cut | undefined
  readonly #fd: number
  /** Bytes of a broken write that could not be taken back yet. */
  #owedBytes = 0
  #syncing = false
  #closed = false

  /**
   * Opens or makes the file (mode 0640) and cuts what a crash left after its last good record.
   * Throws AUDIT_UNAVAILABLE for a file that is no audit file, which is left as it is.
   */
  constructor(path: string) {
    this.#fd = openOrCreate(path)
    try {
      const { goodBytes, lastSeq, rest, sizeBytes } = readTail(this.#fd, path)
      this.lastSeq = lastSeq
      if (goodBytes < sizeBytes) {
        ftruncateSync(this.#fd, goodBytes)
        this.cut = { bytes: sizeBytes - goodBytes, sha256: createHash('sha256').update(rest).digest('hex') }
      }
    } catch (error) {
      closeSync(this.#fd)
      throw error
    }
  }

  /** Appends one line as a whole or not at all: before a full disk says ENOSPC, it takes a part of the line. */
  append(line: string): void {
    // The number of a closed descriptor may by now be that of another file.
    if (this.#closed) throw new RegcreddError('AUDIT_UNAVAILABLE', 'the audit is closed')
    this.#takeBack()
    const bytes = Buffer.from(line)
    let written = 0
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written)
    } catch (error) {
      this.#owedBytes = written
      this.#takeBack()
      throw error
    }
  }

  syncNow(): void {
    fdatasyncSync(this.#fd)
  }

  sync(done: (error: Error | null) => void): void {
    this.#syncing = true
    fdatasync(this.#fd, (error) => {
      this.#syncing = false
      if (this.#closed) closeSync(this.#fd)
      done(error)
    })
  }

  close(): void {
    this.#closed = true
    // Under a sync of the thread pool the number could come to mean another file.
    if (!this.#syncing) closeSync(this.#fd)
  }

  #takeBack(): void {
    if (this.#owedBytes === 0) return
    // From the size of now: `copytruncate` of a log rotation may have cut the file under us.
    ftruncateSync(this.#fd, Math.max(0, fstatSync(this.#fd).size - this.#owedBytes))
    this.#owedBytes = 0
  }
}

/** Number of the last record of a file that is only read; 0 where it holds none. */
function lastSeqOf(path: string): number {
  const fd = openSync(path, constants.O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    return fstatSync(fd).isFile() ? readTail(fd, path).lastSeq : 0
  } finally {
    closeSync(fd)
  }
}

/** Where the file is new because a rotation came just before a stop, the numbers go on from the files that it was moved to. */
export function highestRotatedSeq(folder: string, auditFile: string): number {
  const rotated = readdirSync(folder).filter(
    (name) => name.startsWith(`${auditFile}.`) || name.startsWith(`${auditFile}-`),
  )
  const plain = rotated.filter((name) => !/\.(gz|xz|zst|bz2)$/.test(name))
  return Math.max(0, ...plain.map((name) => lastSeqOf(join(folder, name))))
}

function openOrCreate(path: string): number {
  const flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK
  try {
    const fd = openSync(path, flags | O_CREAT | O_EXCL, MODE)
    fchmodSync(fd, MODE) // whatever the umask: the group reads the audit
    return fd
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
  const fd = openSync(path, flags)
  if (fstatSync(fd).isFile()) return fd
  closeSync(fd)
  throw new RegcreddError('AUDIT_UNAVAILABLE', `${path} is not a regular file`)
}

function readTail(fd: number, path: string): { goodBytes: number; lastSeq: number; rest: Buffer; sizeBytes: number } {
  const sizeBytes = fstatSync(fd).size
  const start = Math.max(0, sizeBytes - MAX_TAIL_BYTES)
  const tail = Buffer.alloc(sizeBytes - start)
  let filled = 0
  while (filled < tail.length) {
    const got = readSync(fd, tail, filled, tail.length - filled, start + filled)
    if (got === 0) break
    filled += got
  }
  let end = tail.lastIndexOf(0x0a) + 1
  while (end > 0) {
    const before = end < 2 ? -1 : tail.lastIndexOf(0x0a, end - 2)
    const record = fromLine(tail.toString('utf8', before + 1, end - 1))
    if (record !== undefined) {
      return { goodBytes: start + end, lastSeq: record.seq, rest: tail.subarray(end), sizeBytes }
    }
    end = before + 1
  }
  // No record at all: the first line of a new file torn, or somebody else's file.
  if (start > 0 || !couldBeTornFirstLine(tail)) {
    throw new RegcreddError('AUDIT_UNAVAILABLE', `${path} does not end in audit records; look at it and move it away`)
  }
  return { goodBytes: 0, lastSeq: 0, rest: tail, sizeBytes }
}

/** A beginning of `{"seq":`…, or the NUL bytes that a power cut leaves where a size reached the disk before its content. */
function couldBeTornFirstLine(tail: Buffer): boolean {
  const text = tail.toString('latin1')
  const head = '{"seq":'
  if (text.includes('\n')) return false
  return text.startsWith(head) || head.startsWith(text) || /^\0*$/.test(text)
}
