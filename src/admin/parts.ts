import type { RegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import type { OnAct } from '../rotation/acts.ts'
import type { MirrorResult } from '../rotation/ports.ts'
import type { Rotations } from '../rotation/rotations.ts'
import type { KubernetesCallers } from './kubernetes-callers.ts'
import type { Streams } from './stream.ts'
import type { TokenStore } from './token-store.ts'

export type ListedRegistry = {
  /** `host` or `host/path`, canonical; the key of its credential. */
  host: string
  /** Origin that requests go to. */
  upstream: string
  mode: 'optional' | 'required'
}

export type MirrorReport = {
  configured: boolean
  /** The last result for each Secret; `at` is RFC 3339, UTC. */
  results: (MirrorResult & { host: string; at: string })[]
  /** Some Secret may not hold what the keychain holds. */
  stale: boolean
  /** Why the cluster is not followed, where that is so. */
  fault: string | undefined
  /** This node, the one that writes the Secrets where it is known, and whether this one does; undefined where there is no fleet. */
  fleet: { node: string; leader: string | undefined; writes: boolean } | undefined
}

/** The rights in the cluster that the configuration needs, one by one. */
export type RightsReport = {
  /** `namespace` is absent for all of them, `name` for any. */
  rights: {
    right: { namespace: string | undefined; verb: string; resource: string; name: string | undefined }
    purpose: string
    allowed: boolean
  }[]
  complete: boolean
}

/** How the fleet is, as seen from this node. */
export type NodesReport = {
  node: string
  leader: string | undefined
  fault: string | undefined
  credentials: {
    key: string
    secretName: string
    standing: 'synced' | 'absent' | 'behind' | 'ahead' | 'forked' | 'garbled' | 'unknown'
    seq: number | undefined
    fleetSeq: number | undefined
    detail: string | undefined
  }[]
  nodes: { node: string; isLive: boolean; silentSeconds: number; adopted: Map<string, number> }[] | undefined
}

/** One line of the log for each answered request. Holds no query and no body; `error` may have a cause that is for the log only. */
export type AnswerLine = {
  id: string
  method: string
  path: string
  /** 0 where the client went away before the end. */
  status: number
  durationMs: number
  actor: string | undefined
  error: RegcreddError | undefined
}

/** What the admin API serves, as functions; it knows no store. */
export type AdminParts = {
  /** All listed registries, in the order of the configuration. */
  registries: () => ListedRegistry[]
  /** The key of a registry, whatever the spelling and whether it is listed or not. @throws NAMESPACE_INVALID, NAME_INVALID */
  canonicalKey: (host: string) => string
  /** As `Keychain.get`. */
  credential: (key: string) => Promise<Credential | undefined>
  /** As `Keychain.keys`. */
  credentialKeys: () => Promise<string[]>
  rotations: Rotations
  tokens: TokenStore
  /** Absent: the cluster lets nobody in. */
  kubernetesCallers?: KubernetesCallers
  /** Writes down what is done with tokens, as the rotations do for themselves. */
  onAct: OnAct
  streams: Streams
  /** The daemon's own version. */
  version: string
  status: () => Promise<object>
  mirror: () => MirrorReport
  /** Undefined without a fleet. */
  nodes: () => Promise<NodesReport | undefined>
  /** @throws KUBERNETES_NOT_CONFIGURED, KUBERNETES_FAILED */
  kubernetesCheck: () => Promise<RightsReport>
  /** Records after number `after`, oldest first, at most `limit`; without `after` the newest ones. */
  audit: (range: { limit: number; after: number | undefined }) => Promise<object[]>
  onAnswer: (line: AnswerLine) => void
}
