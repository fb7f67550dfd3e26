import type { ErrorCode } from '../errors.ts'
import type { Verdict } from './ports.ts'

type Said = Verdict['outcome']

/** What is known while a rotation is STAGED or APPLIED. */
export type View = {
  /** Whether a hook changes the password at the registry; otherwise somebody else does. */
  hasHook: boolean
  /** What the registry has said to each version in this try; `undefined`: not asked yet. */
  pending: Said | undefined
  current: Said | undefined
  /** `absent`: there is none. */
  previous: Said | 'absent' | undefined
  /** Runs of the hook that may have changed something, in all processes. */
  runs: number
  /** How the last run ended; `lost`: its process died before it was written down. */
  last: 'done' | 'retry' | 'refused' | 'unknown' | 'lost' | undefined
  /** What a run that was cut off has sent may still take effect. */
  isInFlight: boolean
  isPastDeadline: boolean
}

export type Move =
  | { do: 'ask'; version: 'pending' | 'current' | 'previous' }
  | { do: 'run-hook' }
  | { do: 'commit' }
  | { do: 'wait' }
  | { do: 'abort'; code: ErrorCode }
  | { do: 'stick'; code: ErrorCode }

/** A hook that fails is run so often; one that says "try again" until the deadline. */
export const MAX_HOOK_RUNS = 3

const wait: Move = { do: 'wait' }

/**
 * Decides what a rotation does next; acts on nothing. PENDING is committed only once it was accepted, and dropped only once an older version was seen to
 * work: a registry that does not answer decides nothing, however late it is.
 */
export function nextMove(view: View): Move {
  const { pending, runs, hasHook, isPastDeadline } = view
  if (pending === undefined) return { do: 'ask', version: 'pending' }
  if (pending === 'accepted') return { do: 'commit' }
  if (pending === 'unverifiable' && runs === 0) return { do: 'abort', code: 'CREDENTIAL_UNVERIFIABLE' }
  if (hasHook && pending === 'rejected') return moveOfHook(view)
  if (!isPastDeadline) return wait
  return olderWorks(view, () => ({ do: 'abort', code: codeOf(pending) }), pending)
}

function moveOfHook(view: View): Move {
  const { last, runs, isInFlight, isPastDeadline, current } = view
  // A registry may take a while to know what it has been told.
  if (last === 'done' && !isPastDeadline) return wait
  if (current === 'unverifiable' && runs === 0) return { do: 'abort', code: 'CREDENTIAL_UNVERIFIABLE' }
  const mayRun =
    last !== 'done' && last !== 'refused' && runs < MAX_HOOK_RUNS && (!isPastDeadline || last === undefined)
  const failed = (): Move => {
    if (mayRun) return { do: 'run-hook' }
    return isInFlight && !isPastDeadline ? wait : { do: 'abort', code: 'HOOK_FAILED' }
  }
  const answer = olderWorks(view, failed, 'rejected')
  if (answer.do !== 'stick') return answer
  // None works: the hook may mend that, and so may time.
  if (mayRun) return { do: 'run-hook' }
  return isPastDeadline ? answer : wait
}

/** `then` once an older version is seen to work; STUCK where the registry refuses all. */
function olderWorks({ current, previous }: View, then: () => Move, pending: Said): Move {
  if (current === undefined) return { do: 'ask', version: 'current' }
  // A registry that lets anybody in needs none of them.
  if (current === 'accepted' || current === 'unverifiable') return then()
  if (current === 'unreachable') return wait
  if (previous === undefined) return { do: 'ask', version: 'previous' }
  if (previous === 'accepted') return then()
  if (previous === 'unreachable' || pending !== 'rejected') return wait
  return { do: 'stick', code: 'NO_VERSION_WORKS' }
}

function codeOf(pending: Exclude<Said, 'accepted'>): ErrorCode {
  if (pending === 'rejected') return 'CREDENTIAL_REFUSED'
  return pending === 'unreachable' ? 'UPSTREAM_UNREACHABLE' : 'CREDENTIAL_UNVERIFIABLE'
}
