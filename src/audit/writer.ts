import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, RegcreddError } from '../errors.ts'
import { lockFile } from '../file-lock.ts'
import { AuditFile, highestRotatedSeq } from './file.ts'
import { toLine } from './line.ts'
import type { AdminAct, AuditEvent, DaemonEvent, PullBegin, PullEnd } from './record.ts'
import { unwritable } from './unwritable.ts'

export const AUDIT_FILE = 'audit.jsonl'
const LOCK_FILE = 'audit.lock'

export type AuditOptions = {
  folder: string
  node: string
  clock: () => Date
  /** What becomes of pulls while nothing can be written: refused, or served and counted. */
  whenFull: 'closed' | 'open'
  /** The longest time that a pull's record may lie in the page cache only; what a power cut can take. Default 1000. */
  syncIntervalMs?: number
  /**
   * Told of the system's error code when writing begins to fail, and of each record that is lost (`lost` is 1, or 0 where only
   * bringing it to the disk failed); `missing` is how many are lost by now.
   */
  onFault?: (fault: { code: string; lost: 0 | 1; missing: number }) => void
  /** Told when writing works again. */
  onRecovery?: (gap: { missing: number; since: string }) => void
}

type Pull = PullBegin | PullEnd

/** A pull's record that is to be written with others. */
type Waiting = PromiseWithResolvers<void> & { event: Pull }

type Gap = { since: string; missing: number; code: string }

/**
 * Opens the audit of one folder, made if it is missing, for this process alone. Numbers go on from the last record, also where
 * the file was rotated (`audit.jsonl*`). A torn last line is cut, and an `audit.gap` record says so.
 * Throws AUDIT_UNAVAILABLE, with what to do about it, when the folder cannot be written or another daemon writes there.
 */
export async function openAudit(options: AuditOptions): Promise<Audit> {
  const { folder } = options
  try {
    // Whatever the umask: the group reads the audit.
    if (mkdirSync(folder, { recursive: true, mode: 0o750 }) !== undefined) chmodSync(folder, 0o750)
    const lock = join(folder, LOCK_FILE)
    const unlock = lockFile(lock, 0o640)
    if (unlock === undefined) {
      throw new RegcreddError('AUDIT_UNAVAILABLE', `another daemon writes there already (see: fuser -v ${lock})`)
    }
    try {
      const file = new AuditFile(join(folder, AUDIT_FILE))
      return new Audit(options, file, file.lastSeq === 0 ? highestRotatedSeq(folder, AUDIT_FILE) : file.lastSeq, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  } catch (error) {
    throw error instanceof RegcreddError ? error : unwritable(folder, error)
  }
}

/**
 * The audit file's only writer. Every record is in the kernel's hands when a method returns, or its promise resolves: kill -9 loses none. On the disk it
 * is after `syncIntervalMs` at the latest, an admin act at once; that is what a power cut may take.
 */
export class Audit {
  readonly #options: AuditOptions
  readonly #unlock: () => void
  #file: AuditFile
  #seq: number
  #gap: Gap | undefined
  /** Events that must come before any other, kept until they can be written. */
  #owed: DaemonEvent[] = []
  #waiting: Waiting[] = []
  #syncTimer: NodeJS.Timeout | undefined
  #syncing = false

  constructor(options: AuditOptions, file: AuditFile, lastSeq: number, unlock: () => void) {
    this.#options = options
    this.#file = file
    this.#seq = lastSeq
    this.#unlock = unlock
    this.#oweCut(file)
    this.check()
  }

  /** Records a pull's begin or end. Throws AUDIT_UNAVAILABLE when it cannot and `whenFull` is `closed`. */
  pull(event: Pull): void {
    this.#write(event, this.#options.whenFull === 'closed')
  }

  /**
   * As `pull`, by one write to the kernel for all records of this turn of the event loop: a write costs as much as a tenth of a
   * small request. Resolves when the record is in the kernel's hands.
   */
  pullWithOthers(event: Pull): Promise<void> {
    const waiting = { ...Promise.withResolvers<void>(), event }
    if (this.#waiting.push(waiting) === 1) setImmediate(() => this.#writeWaiting())
    return waiting.promise
  }

  /** Records an admin act on the disk, or throws AUDIT_UNAVAILABLE whatever `whenFull` says. */
  act(event: AdminAct): void {
    this.#write(event, true)
    try {
      this.#file.syncNow()
    } catch (error) {
      throw this.#fault(error, 0)
    }
  }

  /** Records something of the daemon's life. Never refuses: what cannot be written is counted, so that a stop stays possible. */
  event(event: DaemonEvent): void {
    this.#write(event, false)
  }

  /** Whether records can be written; where the last one could not, tries anew. */
  check(): { writable: true } | { writable: false; code: string; missing: number; since: string } {
    try {
      this.#settle()
    } catch (error) {
      this.#fault(error, 0)
    }
    return this.#gap === undefined ? { writable: true } : { writable: false, ...this.#gap }
  }

  /** Goes on in a new file after a rotation has moved the old one away. Throws AUDIT_UNAVAILABLE, and stays with the old file. */
  reopen(): void {
    const { folder } = this.#options
    this.#writeWaiting()
    try {
      const file = new AuditFile(join(folder, AUDIT_FILE))
      const old = this.#file
      this.#file = file
      this.#seq = Math.max(this.#seq, file.lastSeq)
      this.#oweCut(file)
      this.event({ type: 'audit.reopened', detail: {} })
      try {
        old.syncNow()
      } finally {
        old.close()
      }
    } catch (error) {
      throw error instanceof RegcreddError ? error : unwritable(folder, error)
    }
  }

  /** Brings everything to the disk and gives the folder free. */
  close(): void {
    clearTimeout(this.#syncTimer)
    this.#writeWaiting()
    this.check()
    try {
      this.#file.syncNow()
    } finally {
      this.#file.close()
      this.#unlock()
    }
  }

  #write(event: AuditEvent, mustSucceed: boolean): void {
    this.#writeWaiting()
    try {
      this.#settle()
      this.#append([event])
    } catch (error) {
      if (error instanceof RegcreddError) throw error
      const refusal = this.#fault(error, 1)
      if (mustSucceed) throw refusal
    }
  }

  #writeWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length === 0) return
    try {
      this.#settle()
      this.#append(waiting.map(({ event }) => event))
      for (const { resolve } of waiting) resolve()
    } catch {
      // Nothing of it is in the file. One by one, each gets what is its own: a place that is left, or its own refusal.
      for (const { event, resolve, reject } of waiting) {
        try {
          this.pull(event)
          resolve()
        } catch (thrown) {
          reject(thrown)
        }
      }
    }
  }

  /** Writes what is owed, and closes a gap, before anything new. */
  #settle(): void {
    for (let first = this.#owed[0]; first !== undefined; first = this.#owed[0]) {
      this.#append([first])
      this.#owed.shift()
    }
    const gap = this.#gap
    if (gap === undefined) return
    const { since, missing, code } = gap
    const pulls = this.#options.whenFull === 'closed' ? 'refused' : 'served'
    this.#append([{ type: 'audit.gap', detail: { reason: 'unwritable', since, missing, code, pulls } }])
    this.#gap = undefined
    this.#options.onRecovery?.({ missing, since })
  }

  /** All or none of them. */
  #append(events: AuditEvent[]): void {
    const { clock, node } = this.#options
    const time = clock().toISOString()
    this.#file.append(events.map((event, place) => toLine(event, { seq: this.#seq + 1 + place, time, node })).join(''))
    this.#seq += events.length
    this.#syncTimer ??= setTimeout(() => this.#syncInBackground(), this.#options.syncIntervalMs ?? 1000).unref()
  }

  #oweCut({ cut }: AuditFile): void {
    if (cut !== undefined) this.#owed.push({ type: 'audit.gap', detail: { reason: 'torn-line', ...cut } })
  }

  #syncInBackground(): void {
    // On a disk that hangs, one thread of the pool waits for it and not all of them.
    if (this.#syncing) {
      this.#syncTimer?.refresh()
      return
    }
    this.#syncTimer = undefined
    this.#syncing = true
    this.#file.sync((error) => {
      this.#syncing = false
      if (error !== null) this.#fault(error, 0)
    })
  }

  #fault(error: unknown, lost: 0 | 1): RegcreddError {
    const code = errnoOf(error) ?? 'EIO'
    const isNew = this.#gap === undefined
    this.#gap ??= { since: this.#options.clock().toISOString(), missing: 0, code }
    this.#gap.missing += lost
    if (isNew || lost > 0) this.#options.onFault?.({ code, lost, missing: this.#gap.missing })
    return new RegcreddError('AUDIT_UNAVAILABLE', code, { cause: error })
  }
}
