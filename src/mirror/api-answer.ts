import { RegcreddError } from '../errors.ts'
import type { Answer } from './fault.ts'

/** Which state of an object a write is for: `conflict` for any other. */
export type Base = { uid: string; resourceVersion: string }

/** A read of what is not there is an answer too. */
export function orAbsent<T>(answer: Answer<T>): Answer<T | undefined> {
  if (answer.ok) return answer
  if (answer.fault.kind === 'absent') return { ok: true, value: undefined }
  return orSilent(answer)
}

/** No admission webhook stands in the way of a read: where one takes too long, the API server itself is silent. */
export function orSilent<T>(answer: Answer<T>): Answer<T> {
  if (answer.ok || answer.fault.kind !== 'timeout') return answer
  return { ok: false, fault: { ...answer.fault, kind: 'silent' } }
}

/** A write to what is not there any more: as after any other change, it is to be read again. */
export function orConflict<T>(answer: Answer<T>): Answer<T> {
  if (answer.ok || answer.fault.kind !== 'absent') return answer
  return { ok: false, fault: { ...answer.fault, kind: 'conflict' } }
}

/** For answers that are not what was asked for: a proxy's page with status 200 is no success. */
export function notTheApi(): RegcreddError {
  return new RegcreddError('KUBERNETES_FAILED', 'what answers in place of the Kubernetes API is something else')
}
