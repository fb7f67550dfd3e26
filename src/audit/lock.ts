import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { RegcreddError } from '../errors.ts'

const SQLITE_BUSY = 5

/**
 * Takes the right to write in an audit folder, for as long as the process lives; gives what gives it back.
 * Node has no flock; SQLite's exclusive transaction is a kernel lock on the file (fcntl), so a killed daemon leaves none behind
 * and there is no stale pid to guess about. Throws AUDIT_UNAVAILABLE when another process, or another part of this one, holds it.
 */
export function lockFolder(path: string): () => void {
  closeSync(openSync(path, 'a', 0o640))
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    // Nothing is ever written to it, so that it can be taken on a full disk.
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    if (!isBusy(cause)) throw cause
    throw new RegcreddError('AUDIT_UNAVAILABLE', `another daemon writes there already (see: fuser -v ${path})`, {
      cause,
    })
  }
  return () => database.close()
}

function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && 'errcode' in thrown && thrown.errcode === SQLITE_BUSY
}
