import { NOTHING_READ, type Read } from './applying.ts'
import type { Cluster } from './cluster.ts'
import { type Answer, type Fault, isOfCluster } from './fault.ts'
import type { Target } from './targets.ts'

/** Fewer are read one by one. */
const FEW = 8

/** Gives what was read for a target, as soon as it is known. Never rejects. */
export type BulkRead = (target: Target) => Promise<Read>

/**
 * Reads the Secrets and ServiceAccounts of many namespaces by a list for each name, in place of a call for each of them; what is found in a page is
 * given before the next page comes. What could not be listed is read one by one later; `onDown` hears that the API server is away altogether.
 * An empty list is no danger: what it lacks is created, never overwritten.
 */
export function bulkRead(
  { lists }: Pick<Cluster, 'lists'>,
  targets: Target[],
  onDown: (fault: Fault) => void,
  signal: AbortSignal,
): BulkRead {
  if (targets.length < FEW) return async () => NOTHING_READ
  const namesOf = (pick: (target: Target) => string[]) => [...new Set(targets.flatMap(pick))]
  const follow = <T>(list: Listing<T>, name: string): [string, Followed<T>] => [
    name,
    followList((on) => list(name, on, signal), onDown),
  ]
  const accounts = new Map(namesOf((one) => one.serviceAccounts).map((name) => follow(lists.accounts, name)))
  const secrets = new Map(namesOf((one) => [one.secretName]).map((name) => follow(lists.secrets, name)))

  return async ({ namespace, secretName, serviceAccounts }) => {
    const secret = await secrets.get(secretName)?.(namespace)
    const named = new Map(
      await Promise.all(serviceAccounts.map(async (name) => [name, await accounts.get(name)?.(namespace)] as const)),
    )
    return { secret, account: (name) => named.get(name) }
  }
}

type Listing<T> = (
  name: string,
  on: (namespace: string, found: T | undefined) => void,
  signal: AbortSignal,
) => Promise<Answer<unknown>>

/** Undefined where the list failed, so that nothing is known. */
type Followed<T> = (namespace: string) => Promise<{ value: T | undefined } | undefined>

function followList<T>(
  list: (on: (namespace: string, found: T | undefined) => void) => Promise<Answer<unknown>>,
  onDown: (fault: Fault) => void,
): Followed<T> {
  const found = new Map<string, T>()
  const tooLarge = new Set<string>()
  const waiting = new Map<string, (read: { value: T }) => void>()
  const ended = list((namespace, value) => {
    if (value === undefined) {
      tooLarge.add(namespace)
      return
    }
    found.set(namespace, value)
    waiting.get(namespace)?.({ value })
    waiting.delete(namespace)
  }).then((answer) => {
    if (!answer.ok && isOfCluster(answer.fault)) onDown(answer.fault)
    return answer.ok
  })

  return async (namespace) => {
    const value = found.get(namespace)
    if (value !== undefined) return { value }
    const early = new Promise<{ value: T }>((resolve) => waiting.set(namespace, resolve))
    const isListed = await Promise.race([early, ended])
    if (typeof isListed === 'object') return isListed
    return isListed && !tooLarge.has(namespace) ? { value: found.get(namespace) } : undefined
  }
}
