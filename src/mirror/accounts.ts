import type { V1ServiceAccount } from '@kubernetes/client-node'
import { type Base, notTheApi, orAbsent, orConflict } from './api-answer.ts'
import type { Call } from './call.ts'
import type { Answer } from './fault.ts'
import { ADDED_ANNOTATION, FIELD_MANAGER } from './ownership.ts'
import type { AccountWriting, FoundAccount } from './service-account.ts'

export type AccountName = { namespace: string; account: string }

/** The calls for ServiceAccounts. None of them throws; every answer is safe to show. */
export type Accounts = {
  read(name: AccountName, signal: AbortSignal): Promise<Answer<FoundAccount | undefined>>
  create(name: AccountName, writing: AccountWriting, signal: AbortSignal): Promise<Answer<FoundAccount>>
  /** `conflict` when it is not the one any more that was read. */
  patch(name: AccountName, writing: AccountWriting, base: Base, signal: AbortSignal): Promise<Answer<FoundAccount>>
}

export function accountsOf(call: Call): Accounts {
  return {
    async read({ namespace, account }, signal) {
      return orAbsent(
        await call(signal, async ({ api }, options) =>
          foundAccountOf(await api.readNamespacedServiceAccount({ namespace, name: account }, options)),
        ),
      )
    },
    create({ namespace, account }, writing, signal) {
      const body = { metadata: { name: account, namespace, annotations: annotationsOf(writing) }, ...listOf(writing) }
      return call(signal, async ({ api }, options) =>
        foundAccountOf(
          await api.createNamespacedServiceAccount({ namespace, body, fieldManager: FIELD_MANAGER }, options),
        ),
      )
    },
    async patch({ namespace, account }, writing, { uid, resourceVersion }, signal) {
      // Not apply and not a strategic merge: `imagePullSecrets` of a ServiceAccount is atomic, each would replace the list.
      const body = { metadata: { uid, resourceVersion, annotations: annotationsOf(writing) }, ...listOf(writing) }
      return orConflict(
        await call(signal, async ({ api, client }, options) =>
          foundAccountOf(
            await api.patchNamespacedServiceAccount(
              { namespace, name: account, body, fieldManager: FIELD_MANAGER },
              client.setHeaderOptions('Content-Type', client.PatchStrategy.MergePatch, options),
            ),
          ),
        ),
      )
    },
  }
}

export function foundAccountOf({ metadata, imagePullSecrets }: V1ServiceAccount): FoundAccount {
  const { uid, resourceVersion } = metadata ?? {}
  if (uid === undefined || resourceVersion === undefined) throw notTheApi()
  return {
    uid,
    resourceVersion,
    terminating: metadata?.deletionTimestamp !== undefined,
    annotations: metadata?.annotations ?? {},
    pullSecrets: (imagePullSecrets ?? []).flatMap(({ name }) => name ?? []),
  }
}

function annotationsOf({ added }: AccountWriting): Record<string, string> {
  // `null` removes a key in a merge patch (RFC 7386); the client's type does not know it.
  return { [ADDED_ANNOTATION]: added as string }
}

function listOf({ pullSecrets }: AccountWriting): { imagePullSecrets: { name: string }[] } {
  return { imagePullSecrets: pullSecrets.map((name) => ({ name })) }
}
