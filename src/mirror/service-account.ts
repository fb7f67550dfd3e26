import { ADDED_ANNOTATION, formatNames, parseNames } from './ownership.ts'

/** A ServiceAccount as the API server gave it. */
export type FoundAccount = {
  uid: string
  resourceVersion: string
  terminating: boolean
  annotations: Record<string, string>
  /** Names in `imagePullSecrets`, in their order. */
  pullSecrets: string[]
}

/** What is to be written: the whole list, since the API replaces it as one, and our annotation, `null` to remove it. */
export type AccountWriting = { pullSecrets: string[]; added: string | null }

export type AccountStep =
  | { do: 'create'; writing: AccountWriting }
  | { do: 'patch'; writing: AccountWriting; uid: string; resourceVersion: string }
  | { do: 'unchanged' }
  /** There is no such ServiceAccount, and it is not ours to make. */
  | { do: 'wait' }

/** Kubernetes makes this one in every namespace, and takes one that is there already. */
const MADE_BY_KUBERNETES = 'default'

/** How a ServiceAccount comes to name the Secret. A name that stands there already is not ours, and not to be taken away later. */
export function planAdd(account: string, secretName: string, found: FoundAccount | undefined): AccountStep {
  if (found === undefined) {
    // Made with the Secret in it, so that no pod can come before: kubernetes/kubernetes#88456.
    if (account !== MADE_BY_KUBERNETES) return { do: 'wait' }
    return { do: 'create', writing: { pullSecrets: [secretName], added: formatNames([secretName]) } }
  }
  if (found.terminating) return { do: 'wait' }
  if (found.pullSecrets.includes(secretName)) return { do: 'unchanged' }
  const added = parseNames(found.annotations[ADDED_ANNOTATION])
  return patch(found, [...found.pullSecrets, secretName], [...added, secretName])
}

/** How it comes to name it no more: only where we had added it. */
export function planRemove(secretName: string, found: FoundAccount | undefined): AccountStep {
  if (found === undefined || found.terminating) return { do: 'unchanged' }
  const added = parseNames(found.annotations[ADDED_ANNOTATION])
  if (!added.includes(secretName)) return { do: 'unchanged' }
  const others = (names: string[]) => names.filter((name) => name !== secretName)
  return patch(found, others(found.pullSecrets), others(added))
}

function patch({ uid, resourceVersion }: FoundAccount, pullSecrets: string[], added: string[]): AccountStep {
  const writing = { pullSecrets, added: added.length === 0 ? null : formatNames(added) }
  return { do: 'patch', writing, uid, resourceVersion }
}
