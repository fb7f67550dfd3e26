import type { V1Secret } from '@kubernetes/client-node'
import type { Entry } from '../keychain/tombstone.ts'
import { type Base, notTheApi, orAbsent, orConflict } from '../mirror/api-answer.ts'
import type { Call } from '../mirror/call.ts'
import { type Answer, fault } from '../mirror/fault.ts'
import { fromCanonical, toCanonical } from './canonical.ts'
import { FIELD_MANAGER, secretNameOf } from './names.ts'

export type FoundCanonical = Base & ({ entry: Entry } | { garbled: string })

/** The calls for canonical Secrets. None of them throws but for a credential of ours that is not well-formed; every answer is safe to show. */
export type CanonicalStore = {
  /** `value` is undefined where the API says that there is none. */
  read(key: string, signal: AbortSignal): Promise<Answer<FoundCanonical | undefined>>
  /** `conflict` where there is one already. Gives its version. */
  create(key: string, entry: Entry, signal: AbortSignal): Promise<Answer<Base>>
  /** Replaces the very Secret that was read; `conflict` when it is not the same any more. */
  replace(key: string, entry: Entry, base: Base, signal: AbortSignal): Promise<Answer<Base>>
}

export function canonicalStoreOf(call: Call, namespace: string): CanonicalStore {
  return {
    async read(key, signal) {
      return orAbsent(
        await call(signal, async ({ api }, options) => {
          const secret = await api.readNamespacedSecret({ namespace, name: secretNameOf(key) }, options)
          return { ...baseOf(secret, key, namespace), ...fromCanonical(key, secret) }
        }),
      )
    },
    async create(key, entry, signal) {
      const body = toCanonical(key, entry, namespace)
      const made = await call(signal, async ({ api }, options) =>
        baseOf(
          await api.createNamespacedSecret({ namespace, body, fieldManager: FIELD_MANAGER }, options),
          key,
          namespace,
        ),
      )
      if (made.ok || made.fault.kind !== 'absent') return made
      return { ok: false, fault: fault('refused', `the namespace ${namespace} does not exist`) }
    },
    async replace(key, entry, base, signal) {
      // PUT: with the resourceVersion in it, it is a compare-and-swap of the whole object.
      const body = toCanonical(key, entry, namespace, { uid: base.uid, resourceVersion: base.resourceVersion })
      return orConflict(
        await call(signal, async ({ api }, options) =>
          baseOf(
            await api.replaceNamespacedSecret(
              { namespace, name: secretNameOf(key), body, fieldManager: FIELD_MANAGER },
              options,
            ),
            key,
            namespace,
          ),
        ),
      )
    },
  }
}

function baseOf({ metadata }: V1Secret, key: string, namespace: string): Base {
  const { name, uid, resourceVersion } = metadata ?? {}
  const isOne = name === secretNameOf(key) && metadata?.namespace === namespace
  if (!isOne || uid === undefined || resourceVersion === undefined) throw notTheApi()
  return { uid, resourceVersion }
}
