/**
 * Who acted. On the socket `name` is what the caller says of himself: it tells node no peer uid. With `token:ID` it is the name that
 * the token was made with.
 */
export type Actor = {
  via: 'admin-socket' | 'daemon' | `token:${string}` | `kubernetes:${string}`
  name: string | undefined
}

/** Written before the first byte goes to the registry. Never a header, a query, a redirect target or a secret. */
export type PullBegin = {
  type: 'pull.begin'
  /** Id of the request, the same in both records and in the log. */
  id: string
  peer: string
  caller: string
  method: string
  registry: string
  repository: string
  kind: string
  reference: string
}

export type PullEnd = {
  type: 'pull.end'
  id: string
  registry: string
  repository: string
  kind: string
  reference: string
  digest: string | undefined
  /** Status that the caller got; 0 where the connection ended before any. */
  status: number
  bytes: number
  complete: boolean
  durationMs: number
  /** Credential and version with which the registry was asked; absent for an anonymous request. */
  credential: string | undefined
  version: string | undefined
  upstream: string | undefined
  /** Code of the catalogue, where the request failed on our side. */
  code: string | undefined
  /** The client was sent to the registry's store to fetch the blob there, so no byte of it went through here. */
  redirected?: true | undefined
  /** The size of that blob, as a manifest that went through here tells it. */
  redirectedBytes?: number | undefined
}

export type AdminAct = {
  type: 'admin.intent' | 'admin.outcome'
  id: string
  actor: Actor
  /** `credential.put`, `credential.delete`, `rotation.start`, `rotation.abort`, `rotation.commit`, … */
  action: string
  target: string
  /** Of an outcome: `ok` or a code of the catalogue. */
  outcome: string | undefined
  detail: Record<string, string | number | boolean> | undefined
}

/** `audit.gap`: records are missing or were cut before this one; `audit.reopened`: the first record after a rotation of the file; `pull.refused`, `admin.refused`: somebody who may not. */
export type DaemonEvent = {
  type:
    | 'daemon.start'
    | 'daemon.stop'
    | 'audit.gap'
    | 'audit.reopened'
    | 'mirror.drift'
    | 'mirror.removed'
    | 'pull.refused'
    | 'admin.refused'
  detail: Record<string, string | number | boolean>
}

export type AuditEvent = PullBegin | PullEnd | AdminAct | DaemonEvent

/** One line of the audit file: the event, its number (growing by one, over restarts too), its time (RFC 3339, UTC) and the node's name. */
export type AuditRecord = AuditEvent & { seq: number; time: string; node: string }
