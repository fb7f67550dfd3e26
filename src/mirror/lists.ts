import type { V1Secret, V1ServiceAccount } from '@kubernetes/client-node'
import { foundAccountOf } from './accounts.ts'
import { notTheApi, orAbsent } from './api-answer.ts'
import { type Call, raced } from './call.ts'
import { type Answer, faultOf, statusFault } from './fault.ts'
import type { Connection, Kubeconfig } from './kubeconfig.ts'
import { linesOf } from './lines.ts'
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
  /** All Secrets of a name with their content, by namespace. */
  secrets(secretName: string, signal: AbortSignal): Promise<Answer<Map<string, Found>>>
  /** All ServiceAccounts of a name, by namespace. */
  accounts(account: string, signal: AbortSignal): Promise<Answer<Map<string, FoundAccount>>>
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
  async function pages(subject: Subject, accept: string, limit: number, signal: AbortSignal) {
    const items: Json[] = []
    let next: string | undefined
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await call(signal, async (connection, _options, limited) => {
        const query = { limit: String(limit), ...(next !== undefined && { continue: next }) }
        const response = await send(connection, subject, accept, query, limited)
        return listOf(JSON.parse(await response.text()))
      })
      if (!answer.ok) {
        return answer.fault.kind === 'timeout'
          ? { ok: false as const, fault: { ...answer.fault, kind: 'silent' as const } }
          : answer
      }
      items.push(...answer.value.items)
      next = answer.value.next
      if (next === undefined)
        return { ok: true as const, value: { items, resourceVersion: answer.value.resourceVersion } }
    }
    return { ok: false as const, fault: faultOf(notTheApi(), signal) }
  }

  async function byNamespace<Raw, T>(subject: Subject, signal: AbortSignal, read: (raw: Raw, namespace: string) => T) {
    const listed = await pages(subject, 'application/json', CONTENT_PAGE, signal)
    if (!listed.ok) return listed
    try {
      const found = listed.value.items.map((item): [string, T] => {
        const { namespace, name } = metaOf(item)
        if (subject.kind !== 'namespaces' && name !== subject.name) throw notTheApi()
        return [namespace, read(item as Raw, namespace)]
      })
      return { ok: true as const, value: new Map(found) }
    } catch (thrown) {
      return { ok: false as const, fault: faultOf(thrown, signal) }
    }
  }

  return {
    async metas(subject, signal) {
      const listed = await pages(subject, META_LIST, META_PAGE, signal)
      if (!listed.ok) return listed
      try {
        const { items, resourceVersion } = listed.value
        return { ok: true, value: { items: items.map(metaOf), resourceVersion } }
      } catch (thrown) {
        return { ok: false, fault: faultOf(thrown, signal) }
      }
    },
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
          for await (const line of linesOf(response.stream(), on.sign)) on.event(eventOf(JSON.parse(line)))
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
          return metaOf({ metadata })
        }),
      ),
    secrets: (name, signal) =>
      byNamespace<V1Secret, Found>({ kind: 'secrets', name }, signal, (raw, namespace) => foundOf(raw, { namespace })),
    accounts: (name, signal) =>
      byNamespace<V1ServiceAccount, FoundAccount>({ kind: 'serviceaccounts', name }, signal, foundAccountOf),
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

function eventOf({ type, object }: Json): WatchEvent {
  if (!isJson(object)) throw notTheApi()
  if (type === 'ERROR') throw new WatchRefusal(statusFault(object))
  if (type === 'BOOKMARK') {
    const version = isJson(object['metadata']) ? object['metadata']['resourceVersion'] : undefined
    if (typeof version !== 'string') throw notTheApi()
    return { type: 'bookmark', resourceVersion: version }
  }
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') throw notTheApi()
  return { type: type === 'DELETED' ? 'gone' : 'set', meta: metaOf(object) }
}

function listOf(answer: unknown): { items: Json[]; resourceVersion: string; next: string | undefined } {
  if (!isJson(answer) || !isJson(answer['metadata'])) throw notTheApi()
  // Go writes an empty list of some kinds as null.
  const items = answer['items'] ?? []
  const { resourceVersion, continue: next } = answer['metadata']
  if (!Array.isArray(items) || !items.every(isJson) || typeof resourceVersion !== 'string') throw notTheApi()
  return { items, resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined }
}

function metaOf({ metadata }: Json): Meta {
  if (!isJson(metadata)) throw notTheApi()
  const { name, namespace = '', uid, resourceVersion, labels, annotations, deletionTimestamp } = metadata
  if (typeof name !== 'string' || typeof namespace !== 'string') throw notTheApi()
  if (typeof uid !== 'string' || typeof resourceVersion !== 'string') throw notTheApi()
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    labels: isJson(labels) ? (labels as Record<string, string>) : {},
    annotations: isJson(annotations) ? (annotations as Record<string, string>) : {},
    terminating: deletionTimestamp !== undefined,
  }
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
