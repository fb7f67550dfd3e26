import { constants, type FileHandle, open } from 'node:fs/promises'
import { errnoOf, RegcreddError } from '../errors.ts'
import { createLocks } from '../keychain/locks.ts'
import { replaceFile, sweepLeftovers } from '../replace-file.ts'
import { type JournalEntry, type JournalRecord, scanJournal, toJournalLine } from './journal-line.ts'
import { marked, type Pass } from './points.ts'

/** How rotations went, without secrets: intents before acts, results after. The keychain's item decides what is so; this tells what was under way. */
export interface Journal {
  /** Writes a record durably. Throws JOURNAL_UNAVAILABLE, and the file is as it was before. */
  write(entry: JournalEntry): Promise<void>
  /** The records of a rotation, oldest first: those of this file that were kept, and those of this process. */
  of(rotation: string): JournalRecord[]
  /** All records that were kept, oldest first. */
  all(): JournalRecord[]
  /** Opens the file, if that has not been done, and mends it. Throws JOURNAL_UNAVAILABLE. */
  ready(): Promise<void>
  close(): Promise<void>
}

export type JournalFault = { tornBytes: number; damaged: number }

export type JournalOptions = {
  path: string
  now: () => Date
  /** Told what was cut or found damaged when the file was opened. */
  onFault: (fault: JournalFault) => void
  pass: Pass
  /** Beyond this the file is written anew, with what is worth keeping. */
  maxBytes?: number
}

const MAX_BYTES = 128 * 1024
const ROTATIONS_KEPT = 50
const RECORDS_KEPT = 40
const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants

/** A journal in one file of mode 0600. Nothing is opened before the first use, so a daemon starts without it. */
export function createJournal(options: JournalOptions): Journal {
  const { path, now, pass, maxBytes = MAX_BYTES } = options
  let file: FileHandle | undefined
  let sizeBytes = 0
  let lastN = 0
  let records: JournalRecord[] = []
  const runLocked = createLocks()

  async function openFile(): Promise<FileHandle> {
    if (file !== undefined) return file
    await sweepLeftovers(path)
    const handle = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    try {
      if (!(await handle.stat()).isFile()) throw new RegcreddError('JOURNAL_UNAVAILABLE', `${path} is no regular file`)
      const scanned = scanJournal(await handle.readFile())
      if (scanned.tornBytes > 0) await handle.truncate(scanned.goodBytes)
      if (scanned.tornBytes > 0 || scanned.damaged > 0) options.onFault(scanned)
      // What this process has written stays known here, whatever became of the file.
      if (records.length === 0) records = scanned.records
      lastN = Math.max(lastN, scanned.records.at(-1)?.n ?? 0)
      // Damage is told once: the next write leaves it behind.
      sizeBytes = scanned.damaged > 0 ? Number.POSITIVE_INFINITY : scanned.goodBytes
    } catch (error) {
      await handle.close()
      throw error
    }
    file = handle
    return handle
  }

  async function letGo(): Promise<void> {
    const handle = file
    file = undefined
    await handle?.close()
  }

  /** In one step: after a crash the old file or the new one is there, whole. */
  async function compact(): Promise<void> {
    const kept = worthKeeping(records)
    const renumbered = kept.map((record, index) => ({ ...record, n: lastN - kept.length + 1 + index }))
    await letGo()
    await marked(pass, 'journal: compact', () => replaceFile(path, renumbered.map(toJournalLine).join('')))
    records = renumbered
  }

  async function write(entry: JournalEntry): Promise<void> {
    const isGone = (await (await openFile()).stat()).nlink === 0
    if (isGone) await letGo()
    await openFile()
    if (sizeBytes > maxBytes) await compact()
    const handle = await openFile()
    const record: JournalRecord = { n: lastN + 1, time: now().toISOString(), ...entry }
    const line = toJournalLine(record)
    try {
      await handle.writeFile(line)
      await handle.datasync()
    } catch (error) {
      // Before a full disk says ENOSPC it takes a part of the line. Where even this fails, the next opening cuts it.
      await handle.truncate(sizeBytes).catch(() => undefined)
      await letGo()
      throw error
    }
    sizeBytes += Buffer.byteLength(line)
    lastN = record.n
    records.push(record)
  }

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await runLocked(path, work)
    } catch (cause) {
      if (cause instanceof RegcreddError) throw cause
      const errno = errnoOf(cause) ?? 'unknown'
      throw new RegcreddError('JOURNAL_UNAVAILABLE', `${path}: ${errno}`, { cause })
    }
  }

  return {
    write: (entry) => inTurn(() => write(entry)),
    of: (rotation) => records.filter((record) => record.rotation === rotation),
    all: () => records,
    ready: () => inTurn(async () => void (await openFile())),
    close: () => inTurn(letGo),
  }
}

/** The last rotations, and of each the end of its story. */
export function worthKeeping(records: JournalRecord[]): JournalRecord[] {
  const rotations = [...new Set(records.map(({ rotation }) => rotation).reverse())].slice(0, ROTATIONS_KEPT)
  const left = new Map(rotations.map((rotation) => [rotation, RECORDS_KEPT]))
  return records
    .toReversed()
    .filter(({ rotation }) => {
      const room = left.get(rotation) ?? 0
      left.set(rotation, room - 1)
      return room > 0
    })
    .reverse()
}
