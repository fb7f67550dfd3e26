import { RegcreddError } from '../errors.ts'
import type { Actor, AdminAct, AuditEvent, AuditRecord, DaemonEvent, PullBegin, PullEnd } from './record.ts'

const MAX_TEXT = 1024
const MAX_DETAILS = 32
const DETAIL_KEY = /^[A-Za-z][A-Za-z0-9]{0,39}$/
/** JSON leaves these as they are, and a terminal acts on them: C1 controls, line separators, bidirectional overrides. */
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
const ORIGIN = /^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/

type Check = (value: unknown) => unknown

const text: Check = (value) => (typeof value === 'string' ? bounded(value) : undefined)
const count: Check = (value) => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined)
const flag: Check = (value) => (typeof value === 'boolean' ? value : undefined)
const origin: Check = (value) => (typeof value === 'string' && ORIGIN.test(value) ? value : undefined)
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? null : check(value)

const pullBegin: Record<Exclude<keyof PullBegin, 'type'>, Check> = {
  id: text,
  peer: text,
  caller: text,
  method: text,
  registry: text,
  repository: text,
  kind: text,
  reference: text,
}
const pullEnd: Record<Exclude<keyof PullEnd, 'type'>, Check> = {
  id: text,
  registry: text,
  repository: text,
  kind: text,
  reference: text,
  digest: optional(text),
  status: count,
  bytes: count,
  complete: flag,
  durationMs: count,
  credential: optional(text),
  version: optional(text),
  upstream: optional(origin),
  code: optional(text),
  redirected: optional(flag),
  redirectedBytes: optional(count),
}
const actorFields: Record<keyof Actor, Check> = { via: text, name: optional(text) }
const adminAct: Record<Exclude<keyof AdminAct, 'type'>, Check> = {
  id: text,
  actor: (value) => (isPlain(value) ? checked('actor', value, actorFields) : undefined),
  action: text,
  target: text,
  outcome: optional(text),
  detail: optional(detail),
}
const daemonEvent: Record<Exclude<keyof DaemonEvent, 'type'>, Check> = { detail }

const shapes: Record<AuditEvent['type'], Record<string, Check>> = {
  'pull.begin': pullBegin,
  'pull.end': pullEnd,
  'admin.intent': adminAct,
  'admin.outcome': adminAct,
  'daemon.start': daemonEvent,
  'daemon.stop': daemonEvent,
  'audit.gap': daemonEvent,
  'audit.reopened': daemonEvent,
  'mirror.drift': daemonEvent,
  'mirror.removed': daemonEvent,
  'pull.refused': daemonEvent,
  'admin.refused': daemonEvent,
}

/**
 * One line of the audit file, newline included. Texts are cut at 1024 characters; every control character is escaped.
 * Throws INTERNAL for a key or a value that the event's type does not have: whatever slips into an event by mistake (headers,
 * a query, a secret) must stop the request rather than reach the file.
 */
export function toLine(event: AuditEvent, stamp: { seq: number; time: string; node: string }): string {
  const shape = Object.hasOwn(shapes, event.type) ? shapes[event.type] : undefined
  if (shape === undefined) throw new RegcreddError('INTERNAL', 'an audit event of an unknown type')
  const { type, ...values } = event
  const record = {
    seq: stamp.seq,
    time: stamp.time,
    node: bounded(stamp.node),
    type,
    ...checked(type, values, shape),
  }
  return `${JSON.stringify(record).replace(UNSAFE, escaped)}\n`
}

/** The record that a line (without its newline) holds, or `undefined` where it holds none. */
export function fromLine(line: string): AuditRecord | undefined {
  if (!line.startsWith('{"seq":')) return undefined
  try {
    const record: AuditRecord = JSON.parse(line)
    return Number.isSafeInteger(record.seq) && record.seq > 0 && Object.hasOwn(shapes, record.type) ? record : undefined
  } catch {
    return undefined
  }
}

function checked(name: string, values: Record<string, unknown>, shape: Record<string, Check>): Record<string, unknown> {
  for (const key of Object.keys(values)) {
    if (!Object.hasOwn(shape, key)) throw new RegcreddError('INTERNAL', `an audit event ${name} with an unknown key`)
  }
  const good: Record<string, unknown> = {}
  for (const [key, check] of Object.entries(shape)) {
    const value = check(values[key])
    if (value === undefined) throw new RegcreddError('INTERNAL', `an audit event ${name} with an invalid ${key}`)
    if (value !== null) good[key] = value
  }
  return good
}

function detail(value: unknown): unknown {
  if (!isPlain(value)) return undefined
  const entries = Object.entries(value)
  if (entries.length > MAX_DETAILS) return undefined
  const good: Record<string, unknown> = {}
  for (const [key, item] of entries) {
    const kept = text(item) ?? flag(item) ?? (Number.isFinite(item) ? item : undefined)
    if (!DETAIL_KEY.test(key) || kept === undefined) return undefined
    good[key] = kept
  }
  return good
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function bounded(value: string): string {
  return value.length <= MAX_TEXT ? value : `${value.slice(0, MAX_TEXT - 1)}…`
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
