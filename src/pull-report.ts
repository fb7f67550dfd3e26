import type { PullBegin, PullEnd } from './audit/record.ts'
import { type ErrorCode, toRegcreddError } from './errors.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Caller } from './proxy/caller.ts'
import type { Exchange, Outcome } from './proxy/exchange.ts'
import type { Refusals } from './refusals.ts'

export type PullReport = {
  /** Before the first byte goes to the registry. @throws AUDIT_UNAVAILABLE */
  begun(exchange: Exchange): Promise<void>
  /** When a request has ended: its end record, one line of the log, its counts. Never throws. */
  ended(exchange: Exchange, outcome: Outcome): void
}

/** Turns what happened at the proxy into records, a log line and counts; the proxy itself knows of none of them. */
export function createPullReport(parts: {
  record: (event: PullBegin | PullEnd) => Promise<void>
  refusals: Refusals
  log: Logger
  metrics: Metrics
  nowMs: () => number
}): PullReport {
  const begunIds = new Set<string>()
  return {
    async begun(exchange) {
      const { id, peer, caller, pull, registry } = exchange
      if (pull === undefined || registry === undefined) throw new TypeError('only a pull of a listed registry begins')
      await parts.record({
        type: 'pull.begin',
        id,
        peer,
        caller: wordsOf(caller),
        method: pull.method,
        registry: registry.name,
        repository: pull.repository,
        kind: pull.kind,
        reference: pull.reference,
      })
      begunIds.add(id)
    },
    ended(exchange, outcome) {
      const durationMs = parts.nowMs() - exchange.startedAtMs
      const wasBegun = begunIds.delete(exchange.id)
      const { pull, registry } = exchange
      parts.metrics.pullEnded({
        registry: registry?.name,
        kind: pull?.kind,
        method: pull?.method ?? '',
        status: outcome.status,
        code: outcome.code,
        bytes: outcome.bytes,
        durationMs,
      })
      const { rateLimit } = exchange
      if (rateLimit !== undefined && registry !== undefined)
        parts.metrics.rateLimitSeen({ registry: registry.name, ...rateLimit })
      logLine(parts.log, exchange, outcome, durationMs)
      if (!wasBegun) {
        if (outcome.code !== undefined) parts.refusals.note(refusalOf(exchange, outcome.code))
        return
      }
      parts.record(endRecord(exchange, outcome, durationMs)).catch((thrown: unknown) => {
        // The answer is under way or done; the audit itself counts the lost record and closes for the next pull.
        parts.log.error({ id: exchange.id, err: toRegcreddError(thrown) }, 'the end of a pull could not be recorded')
      })
    },
  }
}

function wordsOf(caller: Caller | undefined): string {
  if (caller?.kind === 'pull-secret') return `pull-secret ${caller.version}`
  if (caller?.kind === 'mtls') return `mtls ${caller.name}`
  return caller?.kind ?? 'unknown'
}

function endRecord(exchange: Exchange, outcome: Outcome, durationMs: number): PullEnd {
  const { id, pull, registry, version, upstream } = exchange
  return {
    type: 'pull.end',
    id,
    registry: registry?.name ?? '',
    repository: pull?.repository ?? '',
    kind: pull?.kind ?? '',
    reference: pull?.reference ?? '',
    digest: outcome.digest,
    status: outcome.status,
    bytes: outcome.bytes,
    complete: outcome.complete,
    durationMs: Math.round(durationMs),
    credential: version === undefined ? undefined : registry?.name,
    version,
    upstream,
    code: outcome.code,
    redirected: outcome.redirected && true,
    redirectedBytes: outcome.redirected?.sizeBytes,
  }
}

/** Of what was asked only what could be read: a malformed path is not repeated. */
function refusalOf({ id, peer, pull, registry }: Exchange, code: ErrorCode): Record<string, string> {
  const asked = pull && { method: pull.method, kind: pull.kind, repository: pull.repository, reference: pull.reference }
  return { id, code, peer, registry: registry?.name ?? pull?.host ?? '', ...asked }
}

function logLine(log: Logger, exchange: Exchange, outcome: Outcome, durationMs: number): void {
  const { id, peer, pull, registry, version } = exchange
  const fields = {
    id,
    peer,
    method: pull?.method,
    kind: pull?.kind,
    registry: registry?.name ?? pull?.host,
    repository: pull?.repository,
    reference: pull?.reference,
    status: outcome.status,
    bytes: outcome.bytes,
    complete: outcome.complete,
    version,
    redirected: outcome.redirected && true,
    code: outcome.code,
    ms: Math.round(durationMs),
  }
  if (outcome.code === undefined) log.info(fields, 'pull')
  else log[outcome.status >= 500 ? 'error' : 'warn']({ ...fields, err: outcome.cause }, 'pull')
}
