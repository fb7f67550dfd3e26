import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

const SQLITE_BUSY = 5

/**
 * Takes a lock on a file, made if it is missing, for as long as the process lives; gives what gives it back, or `undefined` when another
 * process, or another part of this one, holds it. Node has no flock; SQLite's exclusive transaction is a kernel lock on the file (fcntl),
 * so a killed daemon leaves none behind and there is no stale pid to guess about. Throws the system's errors.
 */
export function lockFile(path: string, mode: number): (() => void) | undefined {
  makeIfMissing(path, mode)
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    // Nothing is ever written to it, so that it can be taken on a full disk.
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    if (!isBusy(cause)) throw cause
    return undefined
  }
  return () => database.close()
}

/** One that is there is not opened: to close any descriptor of it would end the lock that this process has on it (fcntl(2)). */
function makeIfMissing(path: string, mode: number): void {
  try {
    closeSync(openSync(path, 'ax', mode))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && 'errcode' in thrown && thrown.errcode === SQLITE_BUSY
}
