import { createHash } from 'node:crypto'
import { RegcreddError } from '../errors.ts'

const KNOWN_FOR_MS = 10_000
const REFUSED_FOR_MS = 1_000
const MAX_KNOWN = 1_024
const MAX_REFUSED = 256
/** Of each kind, so that strangers' tokens do not hold up those who were let in. */
const MAX_OUTSTANDING = 16

/** Whom the cluster says that a token stands for. */
export type KubernetesUser = {
  /** Such as `system:serviceaccount:ci:deploy`. */
  name: string
  uid: string | undefined
  groups: string[]
  extra: Record<string, string[]>
}

/** What somebody wants to do, as RBAC has it; `name` is the registry. */
export type Access = {
  verb: 'get' | 'list' | 'create' | 'update'
  resource: 'registries' | 'rotations' | 'audit' | 'status'
  name: string | undefined
}

/** The questions to the cluster. Both throw where it gives no answer. */
export type CallerReviews = {
  /** `undefined`: it does not know the token, or not for our audience. */
  user(token: string): Promise<KubernetesUser | undefined>
  isAllowed(user: KubernetesUser, access: Access): Promise<boolean>
}

export type KubernetesCallers = {
  /** Whether `check` would ask the cluster. */
  isKnown(token: string): boolean
  /** Whom a token lets in. @throws TOKEN_REFUSED, KUBERNETES_AUTH_UNAVAILABLE */
  check(token: string): Promise<KubernetesUser>
  /** Asks the cluster each time, so that a right that is taken away is gone. @throws KUBERNETES_ACCESS_DENIED, KUBERNETES_AUTH_UNAVAILABLE */
  demand(user: KubernetesUser, access: Access): Promise<void>
}

/** The virtual group of our resources: no such objects exist, RBAC needs none. */
export const API_GROUP = 'regcredd.io'

/** Callers by a token of the cluster. What it said of one is kept for ten seconds, under the token's SHA-256; `nowMs` is monotonic. */
export function createKubernetesCallers(reviews: CallerReviews, nowMs: () => number): KubernetesCallers {
  const known = new Map<string, { user: KubernetesUser; untilMs: number }>()
  // Apart: what strangers send must not push out who is known.
  const refused = new Map<string, { untilMs: number }>()
  const asking = new Map<string, Promise<KubernetesUser>>()
  const bounded = { user: boundedBy(MAX_OUTSTANDING), access: boundedBy(MAX_OUTSTANDING) }

  async function ask(hash: string, token: string): Promise<KubernetesUser> {
    const user = await bounded.user(() => reviews.user(token))
    if (user === undefined) {
      keep(refused, hash, { untilMs: nowMs() + REFUSED_FOR_MS }, MAX_REFUSED)
      throw new RegcreddError('TOKEN_REFUSED')
    }
    keep(known, hash, { user, untilMs: nowMs() + KNOWN_FOR_MS }, MAX_KNOWN)
    return user
  }

  return {
    isKnown: (token) => fresh(known, hashOf(token), nowMs()) !== undefined,
    async check(token) {
      const hash = hashOf(token)
      const found = fresh(known, hash, nowMs())
      if (found !== undefined) return found.user
      if (fresh(refused, hash, nowMs()) !== undefined) throw new RegcreddError('TOKEN_REFUSED')
      const under = asking.get(hash)
      if (under !== undefined) return under
      const answer = ask(hash, token).finally(() => asking.delete(hash))
      asking.set(hash, answer)
      return answer
    },
    async demand(user, access) {
      if (await bounded.access(() => reviews.isAllowed(user, access))) return
      const { verb, resource, name } = access
      const what = `${resource}.${API_GROUP}${name === undefined ? '' : ` "${name}"`}`
      throw new RegcreddError('KUBERNETES_ACCESS_DENIED', `it needs the verb ${verb} for ${what}`)
    },
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function fresh<T extends { untilMs: number }>(kept: Map<string, T>, hash: string, nowMs: number): T | undefined {
  const found = kept.get(hash)
  if (found === undefined || nowMs < found.untilMs) return found
  kept.delete(hash)
  return undefined
}

/** The oldest goes where there are too many. */
function keep<T>(kept: Map<string, T>, hash: string, value: T, most: number): void {
  kept.delete(hash)
  kept.set(hash, value)
  const [oldest = ''] = kept.keys()
  if (kept.size > most) kept.delete(oldest)
}

function boundedBy(most: number): <T>(act: () => Promise<T>) => Promise<T> {
  let outstanding = 0
  return async (act) => {
    if (outstanding >= most) {
      throw new RegcreddError('KUBERNETES_AUTH_UNAVAILABLE', 'too many callers are being asked about', {
        retryAfterS: 1,
      })
    }
    outstanding += 1
    try {
      return await act()
    } finally {
      outstanding -= 1
    }
  }
}
