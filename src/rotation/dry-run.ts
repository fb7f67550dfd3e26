import type { ErrorCode } from '../errors.ts'
import type { Verdict } from './ports.ts'

/** What a rotation would do. Holds no secret. */
export type DryRun = {
  key: string
  way: 'provided' | 'generated'
  /** Why `start` would refuse now; empty where it would begin. */
  refusals: { code: ErrorCode; detail: string | undefined }[]
  /** The version in force and what the registry says to it now. */
  current: { version: string; username: string; verdict: Verdict['outcome']; detail: string | undefined } | undefined
  /** The version that PENDING would be, and the one that would be forgotten at the commit. */
  pending: string | undefined
  forgotten: string | undefined
  /** What changes the password at the registry; absent: whoever asks does. */
  hook: { command: string; timeoutMs: number } | undefined
  /** Where the new password is tried. */
  canary: string | undefined
  deadlineSeconds: number
  graceSeconds: number
  /** Pulls with this credential in the last 7 days; absent where nobody counts them. */
  pulls: { count: number; days: number } | undefined
  /** Absent where no cluster is configured. */
  kubernetes: { secrets: { namespace: string; secretName: string }[]; nodes: string[] } | undefined
}
