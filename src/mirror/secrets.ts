import type { V1Secret } from '@kubernetes/client-node'
import { type Base, notTheApi, orAbsent, orConflict } from './api-answer.ts'
import type { Call } from './call.ts'
import { fromData, toData } from './docker-config-json.ts'
import { type Answer, fault } from './fault.ts'
import { FIELD_MANAGER, OWNER, OWNER_LABEL } from './ownership.ts'
import { type Found, SECRET_TYPE, type Writing } from './plan.ts'

export type SecretName = { namespace: string; secretName: string }

/** The calls for Secrets. None of them throws; every answer is safe to show. */
export type Secrets = {
  /** `value` is undefined where there is no such Secret, or no such namespace: the API does not tell them apart. */
  read(name: SecretName, signal: AbortSignal): Promise<Answer<Found | undefined>>
  /** Makes a Secret that is not there; `conflict` when it is. Gives it as it is stored. */
  create(name: SecretName, writing: Writing, signal: AbortSignal): Promise<Answer<Found>>
  /** Writes our fields into the very Secret that was read; `conflict` when it is not the same any more. */
  update(name: SecretName, writing: Writing, base: Base, signal: AbortSignal): Promise<Answer<Found>>
  /** Deletes the very Secret that was read; `conflict` when it is not the same any more. */
  remove(name: SecretName, base: Base, signal: AbortSignal): Promise<Answer<void>>
}

export function secretsOf(call: Call): Secrets {
  return {
    async read({ namespace, secretName }, signal) {
      const answer = await call(signal, async ({ api }, options) =>
        foundOf(await api.readNamespacedSecret({ namespace, name: secretName }, options), { namespace, secretName }),
      )
      return orAbsent(answer)
    },
    async create(name, writing, signal) {
      // POST, not apply: apply would also write into a Secret that somebody made in the meantime.
      const body = manifest(name, writing)
      const answer = await call(signal, async ({ api }, options) =>
        foundOf(
          await api.createNamespacedSecret({ namespace: name.namespace, body, fieldManager: FIELD_MANAGER }, options),
          name,
        ),
      )
      if (answer.ok || answer.fault.kind !== 'absent') return answer
      return { ok: false, fault: fault('absent', 'the namespace does not exist') }
    },
    async update(name, writing, { uid, resourceVersion }, signal) {
      const body = manifest(name, writing, { uid, resourceVersion })
      const { namespace, secretName } = name
      const answer = await call(signal, async ({ api, client }, options) =>
        foundOf(
          await api.patchNamespacedSecret(
            { namespace, name: secretName, body, fieldManager: FIELD_MANAGER, force: true },
            // Without it the client says JSON-Patch.
            client.setHeaderOptions('Content-Type', client.PatchStrategy.ServerSideApply, options),
          ),
          name,
        ),
      )
      // Deleted since it was read: to be read again, as after any other change.
      return orConflict(answer)
    },
    async remove({ namespace, secretName }, { uid, resourceVersion }, signal) {
      const body = { preconditions: { uid, resourceVersion } }
      const answer = await call(signal, async ({ api }, options) => {
        await api.deleteNamespacedSecret({ namespace, name: secretName, body }, options)
      })
      return orConflict(answer)
    },
  }
}

/** With `base`, uid and resourceVersion make the write a compare-and-swap: 409 for any other state of the Secret. */
function manifest({ namespace, secretName }: SecretName, writing: Writing, base?: Base): V1Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secretName,
      namespace,
      ...base,
      labels: { [OWNER_LABEL]: OWNER },
      annotations: writing.annotations,
    },
    type: SECRET_TYPE,
    data: toData(writing.content),
  }
}

/** Throws KUBERNETES_FAILED for anything but the Secret that was asked for: a proxy's page with status 200 is no success. */
export function foundOf(
  { metadata, type, immutable, data }: V1Secret,
  { namespace, secretName }: Partial<SecretName>,
): Found {
  const { uid, resourceVersion } = metadata ?? {}
  const isOne =
    (secretName === undefined || metadata?.name === secretName) &&
    (namespace === undefined || metadata?.namespace === namespace)
  if (!isOne || uid === undefined || resourceVersion === undefined) throw notTheApi()
  return {
    uid,
    resourceVersion,
    type: type ?? '',
    immutable: immutable ?? false,
    terminating: metadata?.deletionTimestamp !== undefined,
    labels: metadata?.labels ?? {},
    annotations: metadata?.annotations ?? {},
    content: fromData(data),
  }
}
