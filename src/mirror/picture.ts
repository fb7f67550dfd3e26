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
  const secrets = new Map<string, Map<string, Meta>>()
  const accounts = new Map<string, Meta>()
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

  function keepSecret(type: 'set' | 'gone', meta: Meta): void {
    const inNamespace = secrets.get(meta.namespace) ?? new Map<string, Meta>()
    if (type === 'set') inNamespace.set(meta.name, meta)
    else inNamespace.delete(meta.name)
    if (inNamespace.size > 0) secrets.set(meta.namespace, inNamespace)
    else secrets.delete(meta.namespace)
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

  const ofSecrets = options.secretNames.map((name) =>
    follower({
      subject: { kind: 'secrets', name },
      onList: (items) => {
        const before = [...secrets.values()].flatMap((inNamespace) => inNamespace.get(name) ?? [])
        const listed = new Set(items.map(({ namespace }) => namespace))
        for (const meta of before) {
          if (listed.has(meta.namespace)) continue
          keepSecret('gone', meta)
          options.onSecret('gone', meta)
        }
        for (const meta of items) keepSecret('set', meta)
        for (const meta of items) options.onSecret('set', meta)
      },
      onEvent: (type, meta) => {
        keepSecret(type, meta)
        options.onSecret(type, meta)
      },
    }),
  )

  const ofAccounts = options.accounts.map((name) =>
    follower({
      subject: { kind: 'serviceaccounts', name },
      onList: (items) => {
        const listed = new Set(items.map(({ namespace }) => namespace))
        for (const [key, meta] of accounts) {
          if (meta.name !== name || listed.has(meta.namespace)) continue
          accounts.delete(key)
          options.onAccount('gone', meta)
        }
        for (const meta of items) accounts.set(`${meta.namespace}/${name}`, meta)
        for (const meta of items) options.onAccount('set', meta)
      },
      onEvent: (type, meta) => {
        if (type === 'set') accounts.set(`${meta.namespace}/${name}`, meta)
        else accounts.delete(`${meta.namespace}/${name}`)
        options.onAccount(type, meta)
      },
    }),
  )

  const followers = [ofNamespaces, ...ofSecrets, ...ofAccounts]
  return {
    start: () => {
      running ??= Promise.all(followers.map(({ follow }) => follow(options.signal)))
    },
    known: known.promise,
    isKnown: () => ofNamespaces.state().isListed,
    namespace: (name) => namespaces.get(name),
    namespaces: () => [...namespaces.keys()],
    secretsIn: (namespace) => [...(secrets.get(namespace)?.values() ?? [])],
    clusterUid: () => namespaces.get('kube-system')?.uid,
    watches: () => followers.map(({ state }) => state()),
    ended: async () => void (await running),
  }
}
