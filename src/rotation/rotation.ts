import type { RotationRecord } from '../keychain/credential.ts'
import type { MirrorResult } from './ports.ts'

/**
 * A rotation as seen from outside: STAGED → COMMITTED → MIRRORED, or ABORTED. MIRRORED: the mirror run that followed the commit has ended, with
 * what became of each Secret; an empty list where no cluster is configured. Those results live in memory: after a restart the mirror runs again.
 */
export type Rotation = {
  id: string
  key: string
  state: 'STAGED' | 'COMMITTED' | 'MIRRORED' | 'ABORTED'
  version: string
  /** RFC 3339, UTC, like the other two. */
  deadline: string
  startedAt: string
  /** When it was committed or aborted. */
  endedAt: string | undefined
  code: string | undefined
  mirror: MirrorResult[]
  /** MIRRORED, but not every Secret holds the new version; the mirror's own resync goes on with those that failed. */
  partial: boolean
}

export function describeRotation(key: string, record: RotationRecord, results: MirrorResult[] | undefined): Rotation {
  const mirrored = record.state === 'COMMITTED' && results !== undefined
  const { id, version, deadline, startedAt, endedAt, code } = record
  return {
    id,
    key,
    state: mirrored ? 'MIRRORED' : record.state,
    version,
    deadline,
    startedAt,
    endedAt,
    code,
    mirror: mirrored ? results : [],
    partial: mirrored && results.some((result) => result.outcome === 'failed' || result.outcome === 'foreign'),
  }
}

/** Whether nothing more will happen to it. */
export function hasEnded(rotation: Rotation): boolean {
  return rotation.state === 'MIRRORED' || rotation.state === 'ABORTED'
}
