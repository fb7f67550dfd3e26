import { RegcreddError } from '../errors.ts'

/**
 * Why a call to the API server failed, in words that are safe to show. The client's own errors never leave this file: their
 * messages hold bodies, headers and pieces of the kubeconfig.
 */
export type Fault = {
  kind:
    | 'conflict'
    | 'absent'
    | 'throttled'
    | 'unreachable'
    | 'silent'
    | 'timeout'
    | 'aborted'
    | 'refused'
    /** No right, which only a person can change. */
    | 'forbidden'
    /** The version that a watch or a list was to go on from is too old. */
    | 'gone'
  detail: string
  /** As the server asked for it (RFC 9110 § 10.2.3). */
  retryAfterMs: number | undefined
}

export type Answer<T> = { ok: true; value: T } | { ok: false; fault: Fault }

const MAX_ATTEMPTS = 5
/** A longer pause than this is left to the retries in the background, so that a rotation need not wait for it. */
const MAX_PAUSE_MS = 5_000
const JITTER_BASE_MS = 40

/** Whether the next Secret would meet the same fault: the API server is away, or does not know us. */
export function isOfCluster({ kind }: Fault): boolean {
  return kind === 'unreachable' || kind === 'silent'
}

/** Reads what a call threw. `signal` is the caller's, to tell his abort from a call that took too long. */
export function faultOf(thrown: unknown, signal: AbortSignal): Fault {
  if (signal.aborted) return fault('aborted', 'the attempt was broken off')
  if (thrown instanceof RegcreddError) return fault('unreachable', thrown.detail ?? thrown.message)
  if (isTimeout(thrown)) return fault('timeout', 'the Kubernetes API did not answer in time')
  const { code, headers, body } = fieldsOf(thrown)
  if (typeof code === 'number') return httpFault(code, headers, body)
  const system = systemCode(thrown) ?? "its answer is not the API's"
  return fault('unreachable', `the Kubernetes API cannot be reached (${system})`)
}

/** A fault of our own making. */
export function fault(kind: Fault['kind'], detail: string): Fault {
  return { kind, detail, retryAfterMs: undefined }
}

/** How long to wait until the next attempt at one Secret, or undefined to give up. `attempt` counts from 1, `random` lies in [0, 1). */
export function pauseAfter({ kind, retryAfterMs }: Fault, attempt: number, random: number): number | undefined {
  if (attempt >= MAX_ATTEMPTS) return undefined
  const jitterMs = Math.ceil((0.5 + random) * JITTER_BASE_MS * 2 ** (attempt - 1))
  if (kind === 'conflict') return jitterMs
  // A kept-alive connection may be found closed; the next attempt opens another.
  if (kind === 'unreachable') return attempt === 1 ? jitterMs : undefined
  if (kind !== 'throttled') return undefined
  const askedMs = retryAfterMs ?? jitterMs
  return askedMs > MAX_PAUSE_MS ? undefined : askedMs + Math.ceil(random * JITTER_BASE_MS)
}

function httpFault(status: number, headers: Record<string, unknown>, body: unknown): Fault {
  const reason = reasonOf(body)
  const told = `HTTP ${status}${reason === undefined ? '' : `, ${reason}`}`
  if (status === 401) return fault('unreachable', `the Kubernetes API does not accept the kubeconfig's user (${told})`)
  if (status === 403 && isTerminating(body)) return fault('refused', `the namespace is being deleted (${told})`)
  if (status === 403) return fault('forbidden', `the kubeconfig's user may not do this (${told})`)
  if (status === 404) return fault('absent', `there is no such namespace or Secret (${told})`)
  if (status === 409) return fault('conflict', `somebody else keeps writing this object (${told})`)
  if (status === 410) return fault('gone', `the Kubernetes API has forgotten this version (${told})`)
  const retryAfterMs = retryAfter(headers)
  if (status === 429)
    return { kind: 'throttled', detail: `the Kubernetes API asks for patience (${told})`, retryAfterMs }
  return { kind: 'refused', detail: `the Kubernetes API refused (${told})`, retryAfterMs }
}

/** The fault that a Status object tells which comes as an event of a watch, and so has no HTTP status. */
export function statusFault(status: Record<string, unknown>): Fault {
  const { code } = status
  return httpFault(typeof code === 'number' ? code : 0, {}, status)
}

/** Writes into a namespace that goes away are forbidden, as those without a right are. */
function isTerminating(body: unknown): boolean {
  const details = (parsed(body) as { details?: { causes?: unknown } } | null | undefined)?.details
  const causes = Array.isArray(details?.causes) ? details.causes : []
  return causes.some((cause: { reason?: unknown } | null) => cause?.reason === 'NamespaceTerminating')
}

/** `reason` of the API's Status object: one word of a fixed list. Its `message` may quote values and is never used. */
function reasonOf(body: unknown): string | undefined {
  const reason = (parsed(body) as { reason?: unknown } | null | undefined)?.reason
  return typeof reason === 'string' && /^[A-Za-z]{1,40}$/.test(reason) ? reason : undefined
}

function parsed(body: unknown): unknown {
  try {
    return typeof body === 'string' ? JSON.parse(body) : body
  } catch {
    return undefined
  }
}

/** The API server sends seconds; a date, which the RFC also allows, counts as absent. */
function retryAfter(headers: Record<string, unknown>): number | undefined {
  const value = headers['retry-after']
  return typeof value === 'string' && /^[0-9]{1,6}$/.test(value) ? Number(value) * 1000 : undefined
}

function fieldsOf(thrown: unknown): { code: unknown; headers: Record<string, unknown>; body: unknown } {
  const { code, headers, body } = (thrown ?? {}) as {
    code?: unknown
    headers?: Record<string, unknown>
    body?: unknown
  }
  return { code, headers: headers ?? {}, body }
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === 'TimeoutError'
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED`, `UND_ERR_SOCKET`, … from the error or what caused it; never its message. */
export function systemCode(thrown: unknown): string | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 4; error = error.cause, depth += 1) {
    const code = (error as { code?: unknown }).code
    if (typeof code === 'string' && /^[A-Z0-9_]{2,60}$/.test(code)) return code
  }
  return undefined
}
