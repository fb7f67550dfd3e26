import { createFollower, type Follower, type Following } from './follow.ts'
import type { Lists } from './lists.ts'
import type { Meta, Subject } from './objects.ts'
import type { Time } from './time.ts'

/** What is known of the cluster from lists and watches; never an object's content. */
export type Picture = {
  /** Begins to follow; more than once is the same as once. */
  start(): void
  /** Resolves when the namespaces have been listed once; never, if that never happens. */
  known: Promise<void>
  isKnown(): boolean
  namespace(name: string): Meta | undefined
  namespaces(): string[]
  /** The Secrets of the followed names in one namespace, whosesoever they are. */
  secretsIn(namespace: string): Meta[]
  /** The uid of kube-system, which stands for the cluster's. */
  clusterUid(): string | undefined
  watches(): Following[]
  ended(): Promise<void>
}

/** Follows all namespaces, and in all of them the Secrets and ServiceAccounts of the given names. What is told need not be new: the state counts. */
export function createPicture(options: {
  lists: Lists
  secretNames: string[]
  accounts: string[]
  time: Time
  silenceMs: number
  relistMs: number
  openMs: number
  /** Namespaces that came, went or changed. */
  onNamespaces: (names: string[]) => void
  /** A Secret that came, went or changed, or stood in a new list. */
  onSecret: (type: 'set' | 'gone', meta: Meta) => void
  onAccount: (type: 'set' | 'gone', meta: Meta) => void
  onSilence: () => void
  signal: AbortSignal
}): Picture {
  const namespaces = new Map<string, Meta>()
  const known = Promise.withResolvers<void>()
  let running: Promise<unknown> | undefined

  function follower(parts: {
    subject: Subject
    believes?: (items: Meta[]) => boolean
    onList: (items: Meta[]) => void
    onEvent: (type: 'set' | 'gone', meta: Meta) => void
  }): Follower {
    return createFollower({ ...options, believes: () => true, ...parts })
  }

  /** What there is of one name, by its namespace. Everything is known before anything of it is told. */
  function followNamed(
    kind: 'secrets' | 'serviceaccounts',
    name: string,
    tell: (type: 'set' | 'gone', meta: Meta) => void,
  ): { follower: Follower; byNamespace: Map<string, Meta> } {
    const byNamespace = new Map<string, Meta>()
    const named = follower({
      subject: { kind, name },
      onList: (items) => {
        const listed = new Set(items.map(({ namespace }) => namespace))
        const gone = [...byNamespace.values()].filter(({ namespace }) => !listed.has(namespace))
        byNamespace.clear()
        for (const meta of items) byNamespace.set(meta.namespace, meta)
        for (const meta of gone) tell('gone', meta)
        for (const meta of items) tell('set', meta)
      },
      onEvent: (type, meta) => {
        if (type === 'set') byNamespace.set(meta.namespace, meta)
        else byNamespace.delete(meta.namespace)
        tell(type, meta)
      },
    })
    return { follower: named, byNamespace }
  }

  const ofNamespaces = follower({
    subject: { kind: 'namespaces' },
    // Every cluster has it, and nobody can delete it: a list without it is cut short, or not the API's.
    believes: (items) => items.some(({ name }) => name === 'kube-system'),
    onList: (items) => {
      const before = [...namespaces.keys()]
      namespaces.clear()
      for (const meta of items) namespaces.set(meta.name, meta)
      known.resolve()
      options.onNamespaces([...new Set([...before, ...namespaces.keys()])])
    },
    onEvent: (type, meta) => {
      if (type === 'set') namespaces.set(meta.name, meta)
      else namespaces.delete(meta.name)
      options.onNamespaces([meta.name])
    },
  })

  const ofSecrets = options.secretNames.map((name) => followNamed('secrets', name, options.onSecret))
  const ofAccounts = options.accounts.map((name) => followNamed('serviceaccounts', name, options.onAccount))

  const followers = [ofNamespaces, ...[...ofSecrets, ...ofAccounts].map((named) => named.follower)]
  return {
    start: () => {
      running ??= Promise.all(followers.map(({ follow }) => follow(options.signal)))
    },
    known: known.promise,
    isKnown: () => ofNamespaces.state().isListed,
    namespace: (name) => namespaces.get(name),
    namespaces: () => [...namespaces.keys()],
    secretsIn: (namespace) => ofSecrets.flatMap(({ byNamespace }) => byNamespace.get(namespace) ?? []),
    clusterUid: () => namespaces.get('kube-system')?.uid,
    watches: () => followers.map(({ state }) => state()),
    ended: async () => void (await running),
  }
}
