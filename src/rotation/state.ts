/** Where a rotation stands; IDLE is a credential without one. */
export type RotationState =
  | 'STAGED'
  | 'APPLIED'
  | 'VERIFIED'
  | 'COMMITTED'
  | 'MIRRORED'
  | 'GRACE'
  | 'RETIRED'
  | 'ABORTED'
  | 'STUCK'

export type RotationEvent =
  /** PENDING is durable. */
  | 'stage'
  /** The registry has the new password: its hook has set it, or somebody else has. */
  | 'apply'
  /** A real token and a real request worked with PENDING. */
  | 'verify'
  /** The labels have moved: the commit point. Also the end of STUCK where PENDING is the right one. */
  | 'commit'
  /** A mirror run that began after the commit has ended. */
  | 'mirror'
  /** PREVIOUS is kept for a while. */
  | 'keep'
  /** PREVIOUS is deleted, or a later change has taken its place. */
  | 'retire'
  /** PENDING is dropped. Also the end of STUCK where another version is the right one. */
  | 'abort'
  /** The registry accepts no version. */
  | 'stick'

/** Every step that there is; what is not here does not happen. */
export const TRANSITIONS: Record<RotationState | 'IDLE', Partial<Record<RotationEvent, RotationState>>> = {
  IDLE: { stage: 'STAGED' },
  STAGED: { apply: 'APPLIED', abort: 'ABORTED', stick: 'STUCK' },
  APPLIED: { verify: 'VERIFIED', abort: 'ABORTED', stick: 'STUCK' },
  VERIFIED: { commit: 'COMMITTED', abort: 'ABORTED', stick: 'STUCK' },
  COMMITTED: { mirror: 'MIRRORED', retire: 'RETIRED' },
  MIRRORED: { keep: 'GRACE', retire: 'RETIRED' },
  GRACE: { retire: 'RETIRED' },
  STUCK: { commit: 'COMMITTED', abort: 'ABORTED' },
  RETIRED: {},
  ABORTED: {},
}

/** The state after an event; `undefined` where that event does not follow. */
export function transition(state: RotationState | 'IDLE', event: RotationEvent): RotationState | undefined {
  return TRANSITIONS[state][event]
}

/** Whether nothing more will happen to it by itself, save that PREVIOUS goes at the end of its grace. */
export function hasEnded({ state }: { state: RotationState }): boolean {
  return state === 'GRACE' || state === 'RETIRED' || state === 'ABORTED' || state === 'STUCK'
}
