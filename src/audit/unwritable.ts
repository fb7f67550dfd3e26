import { errnoOf, RegcreddError } from '../errors.ts'

/** What to do about a folder or file of the audit that cannot be written, by the system's error code. */
export function unwritable(folder: string, cause: unknown): RegcreddError {
  const code = errnoOf(cause) ?? 'EIO'
  const remedies: Record<string, string> = {
    EACCES: `let the user of the daemon (uid ${process.geteuid?.()}) write there, or set audit.folder to another folder`,
    EPERM: `let the user of the daemon (uid ${process.geteuid?.()}) write there, or set audit.folder to another folder`,
    EROFS: 'the file system is read-only; set audit.folder to another folder',
    ENOSPC: 'the disk is full; make room there',
    ENOTDIR: 'a part of that path is a file; set audit.folder to another folder',
    EEXIST: 'there is a file of that name; set audit.folder to another folder',
    ELOOP: 'audit.jsonl is a symbolic link; move it away, or set audit.folder to another folder',
  }
  const remedy = remedies[code] ?? 'see the log'
  return new RegcreddError('AUDIT_UNAVAILABLE', `audit.folder ${folder}: ${code}: ${remedy}`, { cause })
}
