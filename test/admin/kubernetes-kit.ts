import type { Access, CallerReviews, KubernetesUser } from '../../src/admin/kubernetes-callers.ts'
import { RegcreddError } from '../../src/errors.ts'

export const userOf = (name: string): KubernetesUser => ({
  name: `system:serviceaccount:ci:${name}`,
  uid: 'uid-1',
  groups: ['system:serviceaccounts'],
  extra: {},
})

/** A cluster as a script: which tokens it knows, what it allows, and whether it answers at all. */
export function createScriptedReviews() {
  const asked: string[] = []
  const accesses: Access[] = []
  const state = {
    known: new Map<string, KubernetesUser>(),
    allows: (_access: Access) => true,
    isAway: false,
    /** What every answer waits for. */
    gate: Promise.resolve(),
  }
  const answered = async () => {
    await state.gate
    if (state.isAway) throw new RegcreddError('KUBERNETES_AUTH_UNAVAILABLE')
  }
  const reviews: CallerReviews = {
    async user(token) {
      asked.push(token)
      await answered()
      return state.known.get(token)
    },
    async isAllowed(_user, access) {
      accesses.push(access)
      await answered()
      return state.allows(access)
    },
  }
  return { reviews, state, asked, accesses }
}
