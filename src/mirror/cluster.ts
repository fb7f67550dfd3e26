import { type Accounts, accountsOf } from './accounts.ts'
import { createCall } from './call.ts'
import { type Answer, fault } from './fault.ts'
import { openKubeconfig } from './kubeconfig.ts'
import { type Lists, listsOf } from './lists.ts'
import { type Review, reviewOf } from './review.ts'
import { type Secrets, secretsOf } from './secrets.ts'

/** The calls that the mirror makes. None of them throws; every answer is safe to show. */
export type Cluster = Secrets & {
  accounts: Accounts
  lists: Lists
  review: Review
  /** For connections that may be dead without a word: the next call opens new ones. */
  renew(): void
  close(): Promise<void>
}

/**
 * The cluster that a kubeconfig file names. The file is read when the first call is made and whenever it has changed since;
 * so is the client library, which takes half a second and 88 MiB.
 */
export function openCluster(options: { kubeconfig: string; timeoutMs: number }): Cluster {
  const kubeconfig = openKubeconfig(options.kubeconfig)
  const call = createCall(kubeconfig, options.timeoutMs)
  return {
    ...secretsOf(call),
    accounts: accountsOf(call),
    lists: listsOf(call, kubeconfig),
    review: reviewOf(call),
    renew: () => kubeconfig.renew(),
    close: () => kubeconfig.close(),
  }
}

/** The same cluster, in which nothing is written while `mayWrite` says no: asked anew right before each write. */
export function guardWrites(cluster: Cluster, mayWrite: () => boolean): Cluster {
  const { accounts } = cluster
  return {
    ...cluster,
    create: async (...args) => (mayWrite() ? cluster.create(...args) : refusal()),
    update: async (...args) => (mayWrite() ? cluster.update(...args) : refusal()),
    remove: async (...args) => (mayWrite() ? cluster.remove(...args) : refusal()),
    accounts: {
      ...accounts,
      create: async (...args) => (mayWrite() ? accounts.create(...args) : refusal()),
      patch: async (...args) => (mayWrite() ? accounts.patch(...args) : refusal()),
    },
  }
}

function refusal(): Answer<never> {
  return { ok: false, fault: fault('refused', 'another node is the one that writes') }
}
