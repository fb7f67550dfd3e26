import type { ConfigurationOptions, RequestContext, ResponseContext, V1Secret } from '@kubernetes/client-node'
import { RegcreddError } from '../errors.ts'
import { fromData, toData } from './docker-config-json.ts'
import { type Answer, fault, faultOf } from './fault.ts'
import { type Client, type Connection, openKubeconfig } from './kubeconfig.ts'
import { CREDENTIALS_ANNOTATION, FIELD_MANAGER, OWNER, OWNER_LABEL } from './ownership.ts'
import { type Found, SECRET_TYPE, type Writing } from './plan.ts'

export type SecretName = { namespace: string; secretName: string }

/** The three calls that the mirror makes. None of them throws; every answer is safe to show. */
export type Cluster = {
  /** `value` is undefined where there is no such Secret, or no such namespace: the API does not tell them apart. */
  read(name: SecretName, signal: AbortSignal): Promise<Answer<Found | undefined>>
  /** Makes a Secret that is not there; `conflict` when it is. */
  create(name: SecretName, writing: Writing, signal: AbortSignal): Promise<Answer<void>>
  /** Writes our fields into the very Secret that was read; `conflict` when it is not the same any more. */
  update(
    name: SecretName,
    writing: Writing,
    base: { uid: string; resourceVersion: string },
    signal: AbortSignal,
  ): Promise<Answer<void>>
  close(): Promise<void>
}

/**
 * The cluster that a kubeconfig file names. The file is read when the first call is made and whenever it has changed since;
 * so is the client library, which takes half a second and 88 MiB.
 */
export function openCluster(options: { kubeconfig: string; timeoutMs: number }): Cluster {
  const kubeconfig = openKubeconfig(options.kubeconfig)

  async function call(
    name: SecretName,
    signal: AbortSignal,
    act: (connection: Connection, options: ConfigurationOptions) => Promise<V1Secret>,
  ): Promise<Answer<Found>> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)])
    try {
      // Raced, since the client gives the signal to the request only: a credential plugin of the kubeconfig may hang before it.
      const value = await raced(limited, async () => {
        const connection = await kubeconfig.connect()
        return act(connection, withSignal(connection.client, limited))
      })
      return { ok: true, value: foundOf(value, name) }
    } catch (thrown) {
      return { ok: false, fault: faultOf(thrown, signal) }
    }
  }

  return {
    async read({ namespace, secretName }, signal) {
      const answer = await call({ namespace, secretName }, signal, ({ api }, options) =>
        api.readNamespacedSecret({ namespace, name: secretName }, options),
      )
      if (answer.ok) return { ok: true, value: answer.value }
      if (answer.fault.kind === 'absent') return { ok: true, value: undefined }
      // No admission webhook stands in the way of a read: the API server itself is silent.
      return answer.fault.kind === 'timeout' ? { ok: false, fault: { ...answer.fault, kind: 'silent' } } : answer
    },
    async create({ namespace, secretName }, writing, signal) {
      // POST, not apply: apply would also write into a Secret that somebody made in the meantime.
      const body = manifest({ namespace, secretName }, writing)
      const answer = await call({ namespace, secretName }, signal, ({ api }, options) =>
        api.createNamespacedSecret({ namespace, body, fieldManager: FIELD_MANAGER }, options),
      )
      if (!answer.ok && answer.fault.kind === 'absent') {
        return { ok: false, fault: fault('absent', 'the namespace does not exist') }
      }
      return answer.ok ? { ok: true, value: undefined } : answer
    },
    async update({ namespace, secretName }, writing, { uid, resourceVersion }, signal) {
      const body = manifest({ namespace, secretName }, writing, { uid, resourceVersion })
      const answer = await call({ namespace, secretName }, signal, ({ api, client }, options) =>
        api.patchNamespacedSecret(
          { namespace, name: secretName, body, fieldManager: FIELD_MANAGER, force: true },
          // Without it the client says JSON-Patch.
          client.setHeaderOptions('Content-Type', client.PatchStrategy.ServerSideApply, options),
        ),
      )
      if (answer.ok) return { ok: true, value: undefined }
      // Deleted since it was read: to be read again, as after any other change.
      return answer.fault.kind === 'absent' ? { ok: false, fault: { ...answer.fault, kind: 'conflict' } } : answer
    },
    close: () => kubeconfig.close(),
  }
}

/** With `base`, uid and resourceVersion make the write a compare-and-swap: 409 for any other state of the Secret. */
function manifest(
  { namespace, secretName }: SecretName,
  writing: Writing,
  base?: { uid: string; resourceVersion: string },
): V1Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secretName,
      namespace,
      ...base,
      labels: { [OWNER_LABEL]: OWNER },
      annotations: { [CREDENTIALS_ANNOTATION]: writing.marks },
    },
    type: SECRET_TYPE,
    data: toData(writing.content),
  }
}

/** Throws KUBERNETES_FAILED for anything but the Secret that was asked for: a proxy's page with status 200 is no success. */
function foundOf({ metadata, type, immutable, data }: V1Secret, { namespace, secretName }: SecretName): Found {
  const { uid, resourceVersion } = metadata ?? {}
  const isOne = metadata?.name === secretName && metadata.namespace === namespace
  if (!isOne || uid === undefined || resourceVersion === undefined) {
    throw new RegcreddError('KUBERNETES_FAILED', 'what answers in place of the Kubernetes API is something else')
  }
  return {
    uid,
    resourceVersion,
    type: type ?? '',
    immutable: immutable ?? false,
    terminating: metadata.deletionTimestamp !== undefined,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    content: fromData(data),
  }
}

/** The client has no parameter for a signal; a middleware may set one. */
function withSignal({ Observable }: Client, signal: AbortSignal): ConfigurationOptions {
  return {
    middleware: [
      {
        pre(context: RequestContext) {
          context.setSignal(signal)
          return new Observable(Promise.resolve(context))
        },
        post: (context: ResponseContext) => new Observable(Promise.resolve(context)),
      },
    ],
    middlewareMergeStrategy: 'append',
  }
}

async function raced<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([aborted, act()])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
