import type { V1Secret, V1ServiceAccount } from '@kubernetes/client-node'
import { foundAccountOf } from './accounts.ts'
import { notTheApi, orAbsent, orSilent } from './api-answer.ts'
import { type Call, raced } from './call.ts'
import { type Answer, faultOf, statusFault } from './fault.ts'
import type { Connection, Kubeconfig } from './kubeconfig.ts'
import { linesOf } from './lines.ts'
import { CREDENTIALS_ANNOTATION, OWNER_ANNOTATION, OWNER_LABEL } from './ownership.ts'
import type { Found } from './plan.ts'
import { foundOf } from './secrets.ts'
import type { FoundAccount } from './service-account.ts'

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

export type Lists = {
  /** Everything that there is now, and the version from which a watch goes on. */
  metas(subject: Subject, signal: AbortSignal): Promise<Answer<{ items: Meta[]; resourceVersion: string }>>
  /**
   * Hands over each event as it comes; `onSign` is told of every sign of life. Gives an answer when the stream has ended: by the server, with `ok`;
   * by a fault; or because the signal was aborted. A version that is too old is the fault `gone`.
   */
  watch(
    subject: Subject,
    resourceVersion: string,
    on: { event: (event: WatchEvent) => void; sign: () => void },
    signal: AbortSignal,
  ): Promise<Answer<void>>
  /** One namespace as it is now; undefined where there is none. */
  namespace(name: string, signal: AbortSignal): Promise<Answer<Meta | undefined>>
  /** Hands over each Secret of a name, with its content and its namespace, as its page comes; then says how that ended. */
  secrets(name: string, on: (namespace: string, found: Found) => void, signal: AbortSignal): Promise<Answer<unknown>>
  /** Each ServiceAccount of a name, likewise. */
  accounts(
    name: string,
    on: (namespace: string, found: FoundAccount) => void,
    signal: AbortSignal,
  ): Promise<Answer<unknown>>
}

type Json = Record<string, unknown>

const META_PAGE = 500
/** Of whole Secrets, each of which may be 1 MiB long, made so by whoever may write it. */
const CONTENT_PAGE = 100
const MAX_PAGES = 1_000
/** The server ends a watch after this time by itself; half of it is added by chance, as client-go does. */
const WATCH_SECONDS = 300
const META = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const META_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'

export function listsOf(call: Call, kubeconfig: Kubeconfig): Lists {
  /** Reads each item as its page comes, so that no more than one page is held as it was sent. */
  async function pages<T>(
    subject: Subject,
    { accept, limit }: { accept: string; limit: number },
    read: (item: Json) => T,
    signal: AbortSignal,
  ): Promise<Answer<{ items: T[]; resourceVersion: string }>> {
    const items: T[] = []
    let next: string | undefined
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await call(signal, async (connection, _options, limited) => {
        const query = { limit: String(limit), ...(next !== undefined && { continue: next }) }
        const response = await send(connection, subject, accept, query, limited)
        const listed = listOf(JSON.parse(await response.text()))
        return { ...listed, items: listed.items.map(read) }
      })
      if (!answer.ok) return orSilent(answer)
      items.push(...answer.value.items)
      next = answer.value.next
      if (next === undefined) return { ok: true, value: { items, resourceVersion: answer.value.resourceVersion } }
    }
    return { ok: false, fault: faultOf(notTheApi(), signal) }
  }

  function each<Raw, T>(
    subject: Subject & { name: string },
    read: (raw: Raw, namespace: string) => T,
    on: (namespace: string, found: T) => void,
    signal: AbortSignal,
  ): Promise<Answer<unknown>> {
    const form = { accept: 'application/json', limit: CONTENT_PAGE }
    return pages(
      subject,
      form,
      (item) => {
        const { namespace, name } = metaOf(item, subject)
        if (name !== subject.name) throw notTheApi()
        on(namespace, read(item as Raw, namespace))
      },
      signal,
    )
  }

  return {
    metas: (subject, signal) =>
      pages(subject, { accept: META_LIST, limit: META_PAGE }, (item) => metaOf(item, subject), signal),
    async watch(subject, resourceVersion, on, signal) {
      const query = {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion,
        timeoutSeconds: String(Math.ceil(WATCH_SECONDS * (1 + Math.random() / 2))),
      }
      try {
        await raced(signal, async () => {
          const response = await send(await kubeconfig.connect(), subject, META, query, signal)
          on.sign()
          for await (const line of linesOf(response.stream(), on.sign)) {
            on.event(eventOf(JSON.parse(line), subject))
          }
        })
        return { ok: true, value: undefined }
      } catch (thrown) {
        return { ok: false, fault: thrown instanceof WatchRefusal ? thrown.fault : faultOf(thrown, signal) }
      }
    },
    namespace: async (name, signal) =>
      orAbsent(
        await call(signal, async ({ api }, options) => {
          const { metadata } = await api.readNamespace({ name }, options)
          return metaOf({ metadata }, { kind: 'namespaces' })
        }),
      ),
    secrets: (name, on, signal) =>
      each({ kind: 'secrets', name }, (raw: V1Secret, namespace) => foundOf(raw, { namespace }), on, signal),
    accounts: (name, on, signal) =>
      each({ kind: 'serviceaccounts', name }, (raw: V1ServiceAccount) => foundAccountOf(raw), on, signal),
  }
}

/** A request that the client library has no method for with the form of answer that we want. */
async function send(
  { client, kubeConfig }: Connection,
  subject: Subject,
  accept: string,
  query: Record<string, string>,
  signal: AbortSignal,
): Promise<{ text: () => Promise<string>; stream: () => ReadableStream<Uint8Array> }> {
  const within = subject.kind !== 'namespaces' && subject.namespace !== undefined
  const path = within ? `namespaces/${subject.namespace}/${subject.kind}` : subject.kind
  const url = new URL(`${kubeConfig.getCurrentCluster()?.server.replace(/\/$/, '')}/api/v1/${path}`)
  // RBAC takes this for a request for that name, so that a right on one name is enough.
  if (subject.kind !== 'namespaces') url.searchParams.set('fieldSelector', `metadata.name=${subject.name}`)
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
  const context = new client.RequestContext(url.href, client.HttpMethod.GET)
  context.setHeaderParam('Accept', accept)
  context.setSignal(signal)
  await kubeConfig.applySecurityAuthentication(context)
  const answer = await client.createConfiguration().httpApi.send(context).toPromise()
  if (answer.httpStatusCode !== 200) {
    throw new client.ApiException(answer.httpStatusCode, '', await answer.body.text(), answer.headers)
  }
  const stream = answer.body.stream
  if (stream === undefined) throw notTheApi()
  return { text: () => answer.body.text(), stream: () => stream() as ReadableStream<Uint8Array> }
}

class WatchRefusal extends Error {
  readonly fault: ReturnType<typeof statusFault>

  constructor(fault: ReturnType<typeof statusFault>) {
    super(fault.detail)
    this.fault = fault
  }
}

function eventOf({ type, object }: Json, subject: Subject): WatchEvent {
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

function listOf(answer: unknown): { items: Json[]; resourceVersion: string; next: string | undefined } {
  if (!isJson(answer) || !isJson(answer['metadata'])) throw notTheApi()
  // Go writes an empty list of some kinds as null.
  const items = answer['items'] ?? []
  const { resourceVersion, continue: next } = answer['metadata']
  if (!Array.isArray(items) || !items.every(isJson) || typeof resourceVersion !== 'string') throw notTheApi()
  return { items, resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined }
}

/** Only what somebody asks for later: the labels of namespaces, and our signs on the others. There may be many thousands. */
function metaOf({ metadata }: Json, { kind }: Subject): Meta {
  if (!isJson(metadata)) throw notTheApi()
  const { name, namespace = '', uid, resourceVersion, labels, annotations, deletionTimestamp } = metadata
  if (typeof name !== 'string' || typeof namespace !== 'string') throw notTheApi()
  if (typeof uid !== 'string' || typeof resourceVersion !== 'string') throw notTheApi()
  const kept = (from: unknown, keys: string[]) =>
    isJson(from)
      ? Object.fromEntries(keys.flatMap((key) => (typeof from[key] === 'string' ? [[key, from[key]]] : [])))
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

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
