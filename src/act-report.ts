import type { AdminAct } from './audit/record.ts'
import type { Metrics } from './metrics.ts'
import type { OnAct } from './rotation/acts.ts'

/** Turns acts on credentials and rotations into records and counts. What it returns throws as `record` does, and counts nothing then. */
export function createActReport(parts: {
  /** @throws AUDIT_UNAVAILABLE */
  record: (act: AdminAct) => void
  /** Forgets all that was got with a registry's credential. */
  forget: (registry: string) => void
  metrics: Pick<Metrics, 'rotationEnded'>
}): OnAct {
  return ({ phase, id, actor, action, target, outcome, detail }) => {
    const isOutcome = phase === 'outcome'
    // First, for no old token may outlive a change that could not be recorded.
    if (isOutcome) parts.forget(target)
    parts.record({
      type: isOutcome ? 'admin.outcome' : 'admin.intent',
      id,
      actor,
      action,
      target,
      outcome,
      detail,
    })
    if (!isOutcome || outcome !== 'ok') return
    if (action === 'rotation.commit') parts.metrics.rotationEnded({ registry: target, state: 'COMMITTED' })
    if (action === 'rotation.abort') parts.metrics.rotationEnded({ registry: target, state: 'ABORTED' })
    if (action === 'rotation.stick') parts.metrics.rotationEnded({ registry: target, state: 'STUCK' })
  }
}
