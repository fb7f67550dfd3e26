import { hostname } from 'node:os'
import { type Audit, openAudit } from '../audit/writer.ts'
import { attempt } from './attempt.ts'
import type { Base } from './part.ts'
import { onSignal } from './signals.ts'

/** Opens the audit, the first thing to stand and the last to go. @throws AUDIT_UNAVAILABLE */
export async function startAudit({ config, version, log, metrics, stack }: Base): Promise<Audit> {
  const audit = await openAudit({
    folder: config.audit.folder,
    node: hostname(),
    clock: () => new Date(),
    whenFull: config.audit.whenFull,
    onFault: ({ code, lost, missing }) => {
      metrics.auditFailed({ lost })
      log.error({ code, missing }, 'the audit cannot be written')
    },
    onRecovery: (gap) => {
      metrics.auditRecovered()
      log.warn(gap, 'the audit can be written again')
    },
  })
  stack.defer(() => audit.close())
  audit.event({ type: 'daemon.start', detail: { version } })
  stack.defer(() => audit.event({ type: 'daemon.stop', detail: { version } }))
  stack.use(onSignal('SIGHUP', () => attempt(log, 'the audit file could not be reopened', () => audit.reopen())))
  return audit
}
