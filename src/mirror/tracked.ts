import type { MirrorResult } from '../rotation/ports.ts'
import type { Applied } from './apply.ts'
import type { Retry } from './keep-up.ts'
import type { SecretName } from './secrets.ts'
import { isSameTarget, type Target } from './targets.ts'

/** One Secret as it was at its last check. Times are RFC 3339, UTC. */
export type MirrorStatus = MirrorResult & {
  registries: string[]
  checkedAt: string
  /** When it was last seen to hold what the keychain holds. */
  inSyncAt: string | undefined
}

/** A Secret that is seen to: what is known of it, and the end of the queue of those who want to work on it. */
export type Tracked = Retry & {
  name: SecretName
  /** Undefined for an orphan. */
  target: Target | undefined
  /** Of the namespace, where it is known to be there: one that was made anew has nothing in it. */
  namespaceUid: string | undefined
  status: MirrorStatus | undefined
  turn: Promise<void>
  /** As it was left by us: `Applied.versions`. A change to another version is somebody else's. */
  versions: Applied['versions']
  /** Times in a row that it had to be repaired, so that a fight is not fought without a pause. */
  repairs: number
}

/** What is tracked in the namespaces, kept up with what is wanted there. */
export function createTracking() {
  const byNamespace = new Map<string, Map<string, Tracked>>()

  return {
    all: (): Tracked[] => [...byNamespace.values()].flatMap((inNamespace) => [...inNamespace.values()]),
    get: (namespace: string, secretName: string) => byNamespace.get(namespace)?.get(secretName),
    inNamespace: (namespace: string): Tracked[] => [...(byNamespace.get(namespace)?.values() ?? [])],

    /** Makes `targets` and `orphans` all that is tracked in a namespace; gives what is new or has changed. */
    settle(namespace: string, targets: Target[], orphans: string[], namespaceUid?: string): Tracked[] {
      const before = byNamespace.get(namespace)
      const after = new Map<string, Tracked>()
      const fresh: Tracked[] = []
      const keep = (name: SecretName, target: Target | undefined) => {
        const known = before?.get(name.secretName)
        const isSame =
          known !== undefined &&
          known.namespaceUid === namespaceUid &&
          (target === undefined || known.target === undefined
            ? known.target === target
            : isSameTarget(known.target, target))
        const one = isSame ? known : track(name, target, namespaceUid, known)
        after.set(name.secretName, one)
        if (!isSame) fresh.push(one)
      }
      for (const target of targets) keep({ namespace, secretName: target.secretName }, target)
      for (const secretName of orphans) keep({ namespace, secretName }, undefined)
      if (after.size > 0) byNamespace.set(namespace, after)
      else byNamespace.delete(namespace)
      return fresh
    },

    /** Ends the tracking of one, unless another stands in its place by now. */
    drop(one: Tracked): void {
      const inNamespace = byNamespace.get(one.name.namespace)
      if (inNamespace?.get(one.name.secretName) !== one) return
      inNamespace.delete(one.name.secretName)
      if (inNamespace.size === 0) byNamespace.delete(one.name.namespace)
    },

    isTracked: (one: Tracked) => byNamespace.get(one.name.namespace)?.get(one.name.secretName) === one,
  }
}

function track(
  name: SecretName,
  target: Target | undefined,
  namespaceUid: string | undefined,
  before: Tracked | undefined,
): Tracked {
  return {
    name,
    target,
    namespaceUid,
    status: undefined,
    failures: 0,
    retryAtMs: undefined,
    pauseMs: 0,
    // In the same queue, so that what is under way for the old wish ends before the new one is seen to.
    turn: before?.turn ?? Promise.resolve(),
    versions: new Map(),
    repairs: 0,
  }
}

/** One after the other for one Secret: whoever comes later also reads the keychain later, so an old version is never written last. */
export function inTurn<T>(one: Tracked, task: () => Promise<T>): Promise<T> {
  const done = one.turn.then(task)
  one.turn = done.then(
    () => undefined,
    () => undefined,
  )
  return done
}
