import type { ServerResponse } from 'node:http'
import { type Call, refuse, startFakeKubeApi } from './fake-kube-api.ts'

export type Stored = {
  metadata: {
    name: string
    namespace?: string
    uid: string
    resourceVersion: string
    labels?: Record<string, string>
    annotations?: Record<string, string | null>
    deletionTimestamp?: string
  }
  type?: string
  immutable?: boolean
  data?: Record<string, string>
  imagePullSecrets?: { name: string }[]
}
type Kind = 'namespaces' | 'secrets' | 'serviceaccounts'
type Event = { version: number; type: 'ADDED' | 'MODIFIED' | 'DELETED'; kind: Kind; object: Stored }
type Watch = { kind: Kind; name: string | undefined; answer: ServerResponse }

/** Answers a call in place of the cluster where it gives true. */
export type Fault = (call: Call, answer: ServerResponse) => boolean

const PATH = /^\/api\/v1\/(?:namespaces\/([^/]+)\/)?(namespaces|secrets|serviceaccounts)(?:\/([^/]+))?$/

/** A cluster in memory that lists, watches, pages, compares and swaps as the real one does, and breaks on command. */
export async function startFakeCluster() {
  const objects = new Map<string, { kind: Kind; object: Stored }>()
  const watches = new Set<Watch>()
  const events: Event[] = []
  let version = 1
  let oldest = 0
  let fault: Fault = () => false
  let mute = false

  const keyOf = (kind: Kind, namespace: string | undefined, name: string) => `${kind}/${namespace ?? ''}/${name}`

  function store(
    kind: Kind,
    object: Omit<Stored, 'metadata'> & { metadata: Partial<Stored['metadata']> & { name: string } },
  ) {
    version += 1
    const key = keyOf(kind, object.metadata.namespace, object.metadata.name)
    const before = objects.get(key)?.object
    const uid = before?.metadata.uid ?? `uid-${version}`
    const stored: Stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(version) } }
    objects.set(key, { kind, object: stored })
    emit({ version, type: before === undefined ? 'ADDED' : 'MODIFIED', kind, object: stored })
    return stored
  }

  function remove(kind: Kind, namespace: string | undefined, name: string): void {
    const key = keyOf(kind, namespace, name)
    const object = objects.get(key)?.object
    if (object === undefined) return
    objects.delete(key)
    version += 1
    emit({
      version,
      type: 'DELETED',
      kind,
      object: { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } },
    })
  }

  function emit(event: Event): void {
    events.push(event)
    for (const watch of watches) send(watch, event)
  }

  function send({ kind, name, answer }: Watch, event: Event): void {
    if (mute || event.kind !== kind || (name !== undefined && event.object.metadata.name !== name)) return
    const { metadata } = event.object
    answer.write(`${JSON.stringify({ type: event.type, object: { kind: 'PartialObjectMetadata', metadata } })}\n`)
  }

  function watch(call: Call, kind: Kind, name: string | undefined, answer: ServerResponse): void {
    const from = Number(call.query.get('resourceVersion'))
    answer.writeHead(200, { 'content-type': 'application/json' })
    answer.flushHeaders()
    if (from < oldest) {
      const status = { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410 }
      answer.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`)
      return
    }
    const one = { kind, name, answer }
    for (const event of events.filter((past) => past.version > from)) send(one, event)
    watches.add(one)
    answer.on('close', () => watches.delete(one))
  }

  function list(call: Call, kind: Kind, name: string | undefined, answer: ServerResponse): void {
    const all = [...objects.values()]
      .filter((one) => one.kind === kind && (name === undefined || one.object.metadata.name === name))
      .map(({ object }) => object)
    const from = Number(call.query.get('continue') ?? '0')
    const limit = Number(call.query.get('limit') ?? all.length)
    const more = from + limit < all.length ? { continue: String(from + limit) } : {}
    json(answer, 200, { metadata: { resourceVersion: String(version), ...more }, items: all.slice(from, from + limit) })
  }

  function single(call: Call, kind: Kind, namespace: string | undefined, name: string, answer: ServerResponse) {
    const found = objects.get(keyOf(kind, namespace, name))?.object
    if (found === undefined) return refuse(answer, 404, { reason: 'NotFound' })
    if (call.method === 'GET') return json(answer, 200, found)
    const body = call.body === '' ? {} : JSON.parse(call.body)
    const base = call.method === 'DELETE' ? body.preconditions : body.metadata
    if (base?.resourceVersion !== undefined && base.resourceVersion !== found.metadata.resourceVersion) {
      return refuse(answer, 409, { reason: 'Conflict' })
    }
    if (call.method === 'DELETE') {
      remove(kind, namespace, name)
      return json(answer, 200, { kind: 'Status', status: 'Success' })
    }
    const { metadata, ...rest } = body
    const annotations = Object.fromEntries(
      Object.entries({ ...found.metadata.annotations, ...metadata.annotations }).filter(([, value]) => value !== null),
    ) as Record<string, string>
    const labels = { ...found.metadata.labels, ...metadata.labels }
    json(answer, 200, store(kind, { ...found, ...rest, metadata: { ...found.metadata, labels, annotations } }))
  }

  function create(call: Call, kind: Kind, namespace: string | undefined, answer: ServerResponse) {
    const body = JSON.parse(call.body)
    const home = objects.get(keyOf('namespaces', undefined, namespace ?? ''))?.object
    if (home === undefined) return refuse(answer, 404, { reason: 'NotFound' })
    if (home.metadata.deletionTimestamp !== undefined) {
      answer.writeHead(403, { 'content-type': 'application/json' })
      const causes = [{ reason: 'NamespaceTerminating' }]
      answer.end(JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', details: { causes } }))
      return
    }
    if (objects.has(keyOf(kind, namespace, body.metadata.name))) return refuse(answer, 409, { reason: 'AlreadyExists' })
    json(answer, 201, store(kind, { ...body, metadata: { ...body.metadata, namespace } }))
  }

  const api = await startFakeKubeApi((call, answer) => {
    if (fault(call, answer)) return
    const [, namespace, kind, name] = PATH.exec(call.path) ?? []
    if (kind === undefined) return refuse(answer, 404)
    const only = call.query.get('fieldSelector')?.replace('metadata.name=', '')
    if (call.query.has('watch')) return watch(call, kind as Kind, only, answer)
    if (name !== undefined) return single(call, kind as Kind, namespace, name, answer)
    if (call.method === 'POST') return create(call, kind as Kind, namespace, answer)
    list(call, kind as Kind, only, answer)
  })
  store('namespaces', { metadata: { name: 'kube-system' } })

  return {
    kubeconfig: api.kubeconfig,
    calls: api.calls,
    writes: () => api.calls.filter(({ method }) => method !== 'GET'),
    setNamespace: (name: string, labels: Record<string, string> = {}, more: { deletionTimestamp?: string } = {}) =>
      store('namespaces', { metadata: { name, labels, ...more } }),
    /** At once, with all that is in it. */
    removeNamespace(name: string) {
      for (const { kind, object } of [...objects.values()]) {
        if (object.metadata.namespace === name) remove(kind, name, object.metadata.name)
      }
      remove('namespaces', undefined, name)
    },
    get: (kind: Kind, namespace: string, name: string) => objects.get(keyOf(kind, namespace, name))?.object,
    store,
    remove,
    /** From now on, until it is set again. */
    setFault(next: Fault | undefined) {
      fault = next ?? (() => false)
    },
    /** Ends all watches as a broken connection does. */
    cutWatches() {
      for (const { answer } of watches) answer.destroy()
    },
    /** Whether open watches tell of nothing any more. */
    setMute(state: boolean) {
      mute = state
    },
    watches: () => watches.size,
    /** Forgets what happened, but not that it did: a watch from before never tells of it. */
    loseEvents() {
      events.length = 0
    },
    /** Forgets the past, so that a watch from an old version is refused with 410. */
    compact() {
      events.length = 0
      oldest = version
    },
    close: () => api.close(),
  }
}

function json(answer: ServerResponse, status: number, body: unknown): void {
  answer.writeHead(status, { 'content-type': 'application/json' })
  answer.end(JSON.stringify(body))
}
