import type { Call } from './call.ts'
import type { Answer } from './fault.ts'

/** One right: a verb on a resource, in one namespace or (undefined) in all of them. */
export type Right = {
  namespace: string | undefined
  verb: string
  resource: 'namespaces' | 'secrets' | 'serviceaccounts' | 'leases' | 'tokenreviews' | 'subjectaccessreviews'
  /** Undefined: any name, as `create` needs it. */
  name: string | undefined
}

/** The API groups of those that are not of the core. */
const GROUPS: Partial<Record<Right['resource'], string>> = {
  leases: 'coordination.k8s.io',
  tokenreviews: 'authentication.k8s.io',
  subjectaccessreviews: 'authorization.k8s.io',
}

/** Asks the API server whether the kubeconfig's user has a right (SelfSubjectAccessReview, which everybody may make). */
export type Review = (right: Right, signal: AbortSignal) => Promise<Answer<boolean>>

export function reviewOf(call: Call): Review {
  return ({ namespace, verb, resource, name }, signal) =>
    call(signal, async ({ authorization }, options) => {
      const resourceAttributes = {
        verb,
        resource,
        group: GROUPS[resource] ?? '',
        ...(namespace !== undefined && { namespace }),
        ...(name !== undefined && { name }),
      }
      const body = { spec: { resourceAttributes } }
      const { status } = await authorization.createSelfSubjectAccessReview({ body }, options)
      return status?.allowed === true
    })
}
