import type { V1Secret, V1ServiceAccount } from '@kubernetes/client-node'
import { foundAccountOf } from './accounts.ts'
import { notTheApi, orAbsent, orSilent } from './api-answer.ts'
import { type Call, raced } from './call.ts'
import { type Answer, faultOf } from './fault.ts'
import type { Connection, Kubeconfig } from './kubeconfig.ts'
import { linesOf } from './lines.ts'
import {
  eventOf,
  type Json,
  listOf,
  type Meta,
  metaOf,
  type Subject,
  type WatchEvent,
  WatchRefusal,
} from './objects.ts'
import type { Found } from './plan.ts'
import { foundOf } from './secrets.ts'
import type { FoundAccount } from './service-account.ts'

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
  /**
   * Hands over each Secret of a name, with its content and its namespace, as its page comes; then says how that ended. Undefined for one that is too
   * large to be held together with thousands of others.
   */
  secrets(
    name: string,
    on: (namespace: string, found: Found | undefined) => void,
    signal: AbortSignal,
  ): Promise<Answer<unknown>>
  /** Each ServiceAccount of a name, likewise. */
  accounts(
    name: string,
    on: (namespace: string, found: FoundAccount | undefined) => void,
    signal: AbortSignal,
  ): Promise<Answer<unknown>>
}

const META_PAGE = 500
const CONTENT_PAGE = 100
const MAX_PAGES = 5_000
/** Whoever may write an object may make it more than 1 MiB long, and a page of those would be all the memory that there is: a smaller one is asked for then. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024
/** Of an object whose content is held until its turn comes; room for a hundred logins. */
const MAX_HELD_CHARS = 64 * 1024
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
    let size = limit
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await call(signal, async (connection, _options, limited) => {
        const query = { limit: String(size), ...(next !== undefined && { continue: next }) }
        const stream = await send(connection, subject, accept, query, limited)
        const text = await textOf(stream)
        if (text === undefined) return undefined
        const listed = listOf(JSON.parse(text))
        return { ...listed, items: listed.items.map(read) }
      })
      if (!answer.ok) return orSilent(answer)
      if (answer.value === undefined) {
        if (size === 1) break
        size = Math.ceil(size / 8)
        continue
      }
      size = Math.min(size * 2, limit)
      items.push(...answer.value.items)
      next = answer.value.next
      if (next === undefined) return { ok: true, value: { items, resourceVersion: answer.value.resourceVersion } }
    }
    return { ok: false, fault: faultOf(notTheApi(), signal) }
  }

  function each<Raw, T>(
    subject: Subject & { name: string },
    read: (raw: Raw, namespace: string) => T,
    on: (namespace: string, found: T | undefined) => void,
    signal: AbortSignal,
  ): Promise<Answer<unknown>> {
    const form = { accept: 'application/json', limit: CONTENT_PAGE }
    return pages(
      subject,
      form,
      (item) => {
        const { namespace, name } = metaOf(item, subject)
        if (name !== subject.name) throw notTheApi()
        on(namespace, JSON.stringify(item).length > MAX_HELD_CHARS ? undefined : read(item as Raw, namespace))
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
          const stream = await send(await kubeconfig.connect(), subject, META, query, signal)
          on.sign()
          for await (const line of linesOf(stream, on.sign)) {
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
): Promise<ReadableStream<Uint8Array>> {
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
  return stream() as ReadableStream<Uint8Array>
}

/** Undefined where there is more than a page may be long; no more of it is read then. */
async function textOf(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of stream) {
    sizeBytes += chunk.length
    if (sizeBytes > MAX_PAGE_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
