import { randomUUID } from 'node:crypto'
import { type ErrorCode, RegcreddError, toRegcreddError } from '../errors.ts'

/** Who acts, of a user of the cluster its name there; `name` is his own claim, but that of a token, which its maker gave it. The same shape as in the audit's records. */
export type Actor = {
  via: 'admin-socket' | 'daemon' | `token:${string}` | `kubernetes:${string}`
  name: string | undefined
}

export const daemonActor: Actor = { via: 'daemon', name: undefined }

export type RotationAction =
  | 'rotation.start'
  | 'rotation.apply'
  | 'rotation.commit'
  | 'rotation.abort'
  | 'rotation.stick'
  | 'rotation.resolve'
  | 'rotation.retire'

export type ActDetail = Record<string, string | number | boolean>

/** An act on a credential or a rotation, told twice: its intent before, its outcome after. */
export type Act = {
  phase: 'intent' | 'outcome'
  /** The same in both phases. */
  id: string
  actor: Actor
  action: 'credential.put' | 'credential.delete' | 'token.create' | 'token.revoke' | RotationAction
  /** `host` or `host/path`; of a token its id. */
  target: string
  /** Of an outcome: `ok` or why not. */
  outcome: 'ok' | ErrorCode | undefined
  detail: ActDetail | undefined
}

/** Writes an act down, durably, or throws; what cannot be written down is not done. */
export type OnAct = (act: Act) => Promise<void> | void

/**
 * Does `run` between its intent and its outcome. When the intent cannot be written, nothing is done. When the outcome cannot be
 * written, the act may have been done and the caller gets the audit's error all the same: nothing is answered that nobody recorded.
 * `describe` adds to the outcome what only the result knows.
 */
export async function audited<T>(
  onAct: OnAct,
  act: Pick<Act, 'actor' | 'action' | 'target'> & { detail: ActDetail },
  run: () => Promise<T>,
  describe: (result: T) => ActDetail = () => ({}),
): Promise<T> {
  const id = randomUUID()
  await onAct({ ...act, phase: 'intent', id, outcome: undefined })
  let result: T
  try {
    result = await run()
  } catch (thrown) {
    const { code } = toRegcreddError(thrown)
    try {
      await onAct({ ...act, phase: 'outcome', id, outcome: code })
    } catch (unrecorded) {
      // Neither may hide the other: who reads of the audit must learn that the act failed, too.
      const { code: ofAudit, detail } = toRegcreddError(unrecorded)
      throw new RegcreddError(ofAudit, `${detail ?? 'no more is known'}; and the act itself ended in ${code}`, {
        cause: thrown,
      })
    }
    throw thrown
  }
  await onAct({ ...act, phase: 'outcome', id, outcome: 'ok', detail: { ...act.detail, ...describe(result) } })
  return result
}
