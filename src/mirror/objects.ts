import { notTheApi } from './api-answer.ts'
import { type Fault, statusFault } from './fault.ts'
import { CREDENTIALS_ANNOTATION, OWNER_ANNOTATION, OWNER_LABEL } from './ownership.ts'

export type Json = Record<string, unknown>

/** What is listed and watched: namespaces, or one kind's objects of one name in the whole cluster or in one namespace. */
export type Subject = { kind: 'namespaces' } | { kind: 'secrets' | 'serviceaccounts'; name: string; namespace?: string }

/** What a watch tells of an object; never its content. `namespace` is empty for a namespace itself. */
export type Meta = {
  namespace: string
  name: string
  uid: string
  resourceVersion: string
  /** All of a namespace; of others those that are our signs, like the annotations. */
  labels: Record<string, string>
  annotations: Record<string, string>
  terminating: boolean
}

export type WatchEvent = { type: 'set' | 'gone'; meta: Meta } | { type: 'bookmark'; resourceVersion: string }

/** Whoever may write an object may have made its annotations 256 kB long; of a longer sign it counts only that it is there. */
const MAX_SIGN_CHARS = 1_024

/** An event by which the API server ends a watch. */
export class WatchRefusal extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.detail)
    this.fault = fault
  }
}

/** Throws KUBERNETES_FAILED for what no API server sends, like the two below. */
export function eventOf({ type, object }: Json, subject: Subject): WatchEvent {
  if (!isJson(object)) throw notTheApi()
  if (type === 'ERROR') throw new WatchRefusal(statusFault(object))
  if (type === 'BOOKMARK') {
    const version = isJson(object['metadata']) ? object['metadata']['resourceVersion'] : undefined
    if (typeof version !== 'string') throw notTheApi()
    return { type: 'bookmark', resourceVersion: version }
  }
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') throw notTheApi()
  return { type: type === 'DELETED' ? 'gone' : 'set', meta: metaOf(object, subject) }
}

export function listOf(answer: unknown): { items: Json[]; resourceVersion: string; next: string | undefined } {
  if (!isJson(answer) || !isJson(answer['metadata'])) throw notTheApi()
  // Go writes an empty list of some kinds as null.
  const items = answer['items'] ?? []
  const { resourceVersion, continue: next } = answer['metadata']
  if (!Array.isArray(items) || !items.every(isJson) || typeof resourceVersion !== 'string') throw notTheApi()
  return { items, resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined }
}

/** Only what somebody asks for later: the labels of namespaces, and our signs on the others. There may be many thousands. */
export function metaOf({ metadata }: Json, { kind }: Subject): Meta {
  if (!isJson(metadata)) throw notTheApi()
  const { name, namespace = '', uid, resourceVersion, labels, annotations, deletionTimestamp } = metadata
  if (typeof name !== 'string' || typeof namespace !== 'string') throw notTheApi()
  if (typeof uid !== 'string' || typeof resourceVersion !== 'string') throw notTheApi()
  const kept = (from: unknown, keys: string[]) =>
    isJson(from)
      ? Object.fromEntries(keys.flatMap((key) => (typeof from[key] === 'string' ? [[key, signOf(from[key])]] : [])))
      : {}
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    labels:
      kind === 'namespaces' ? kept(labels, isJson(labels) ? Object.keys(labels) : []) : kept(labels, [OWNER_LABEL]),
    annotations: kind === 'secrets' ? kept(annotations, [CREDENTIALS_ANNOTATION, OWNER_ANNOTATION]) : {},
    terminating: deletionTimestamp !== undefined,
  }
}

function signOf(value: string): string {
  return value.length > MAX_SIGN_CHARS ? '' : value
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
