import { RegcreddError } from '../errors.ts'
import { createPool } from './pool.ts'
import type { Review, Right } from './review.ts'
import type { Needed } from './rights.ts'

/** A right that is needed, what for, and whether the kubeconfig's user has it. */
export type CheckedRight = Needed & { allowed: boolean }

export type Checked = {
  rights: CheckedRight[]
  /** Whether all of them are there. */
  complete: boolean
}

const CONCURRENCY = 8

/**
 * Asks for every right that is needed; where a right is missing for the whole cluster but enough in single namespaces, it is asked for
 * in each of `namespaces` that may want it. Throws KUBERNETES_FAILED where the API server cannot be asked.
 */
export async function checkRights(
  review: Review,
  needed: Needed[],
  namespaces: string[],
  signal: AbortSignal,
): Promise<Checked> {
  const pool = createPool(CONCURRENCY)
  const ask = (one: Needed): Promise<CheckedRight> =>
    pool(async () => ({ ...one, allowed: await isAllowed(review, one.right, signal) }))
  // The first alone: an API server that does not know the user ends the connection, and the others would only tell of that.
  const [first, ...others] = needed
  const asked = first === undefined ? [] : [await ask(first), ...(await Promise.all(others.map(ask)))]
  const rights: CheckedRight[] = []
  for (const one of asked) {
    const splits = !one.allowed && one.right.namespace === undefined && one.isPerNamespace && namespaces.length > 0
    if (!splits) rights.push(one)
    else {
      const each = namespaces.map((namespace) => ask({ ...one, right: { ...one.right, namespace } }))
      rights.push(...(await Promise.all(each)))
    }
  }
  return { rights, complete: rights.every(({ allowed }) => allowed) }
}

async function isAllowed(review: Review, right: Right, signal: AbortSignal): Promise<boolean> {
  const answer = await review(right, signal)
  if (!answer.ok) throw new RegcreddError('KUBERNETES_FAILED', answer.fault.detail)
  return answer.value
}
