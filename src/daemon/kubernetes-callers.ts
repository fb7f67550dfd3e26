import { API_GROUP, createKubernetesCallers, type KubernetesCallers } from '../admin/kubernetes-callers.ts'
import { RegcreddError } from '../errors.ts'
import { openCallerReviews } from '../mirror/caller-reviews.ts'
import type { Answer, Fault } from '../mirror/fault.ts'
import type { Base } from './part.ts'

/** Lets the cluster say who calls the admin API and may do what; undefined where that is not configured. */
export function buildKubernetesCallers({ config, log, stack, nowMs }: Base): KubernetesCallers | undefined {
  const { kubernetes, admin } = config
  if (admin.kubernetesAuth === undefined || kubernetes === undefined) return undefined
  const { kubeconfig } = kubernetes
  const reviews = openCallerReviews({ kubeconfig, ...admin.kubernetesAuth })
  stack.defer(() => reviews.close())
  let isAway = false

  /** Told when it changes: strangers must not fill the log with what the API server does not answer. */
  function told<T>(answer: Answer<T>): T {
    if (answer.ok === isAway) {
      isAway = !answer.ok
      if (answer.ok) log.info({}, 'the cluster answers again about callers of the admin API')
      else log.warn({ fault: whyOf(answer.fault) }, 'the cluster cannot be asked about callers of the admin API')
    }
    if (answer.ok) return answer.value
    throw new RegcreddError('KUBERNETES_AUTH_UNAVAILABLE', undefined, { retryAfterS: 1 })
  }

  return createKubernetesCallers(
    {
      user: async (token) => told(await reviews.user(token)),
      isAllowed: async (user, access) => told(await reviews.isAllowed(user, { group: API_GROUP, ...access })),
    },
    nowMs,
  )
}

function whyOf({ kind, detail }: Fault): string {
  if (kind !== 'forbidden') return detail
  return "the kubeconfig's user may create no tokenreviews or subjectaccessreviews: kubernetes/rbac-callers.yaml gives that"
}
