import { randomUUID } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import type { Keychain } from '../keychain/keychain.ts'
import type { Entry } from '../keychain/tombstone.ts'
import { CALL_TIMEOUT_MS } from '../mirror/call.ts'
import { SILENCE_MS } from '../mirror/follow.ts'
import { openFleetCluster } from './cluster.ts'
import { createElection } from './election.ts'
import { keepSynced } from './keep-synced.ts'
import { secretNameOf } from './names.ts'
import type { Mirrored } from './node-note.ts'
import { createPresence, type SeenNode } from './presence.ts'
import { createReplica, type Replica, type ReplicaState } from './replica.ts'
import { type FleetReport, fleetWarnings, twinDetail } from './report.ts'
import { type Share, shareOf } from './share.ts'
import type { Time } from './time.ts'

type Kubernetes = NonNullable<Config['kubernetes']>
export type FleetConfig = Pick<Kubernetes, 'kubeconfig' | 'mirrors' | 'resyncIntervalMs'> & {
  fleet: NonNullable<Kubernetes['fleet']>
}

export type FleetParts = {
  config: FleetConfig
  node: string
  /** Canonical keys of the listed registries. */
  registries: string[]
  keychain: Pick<Keychain, 'update' | 'replicate'>
  time: Time
  /** Another node's change is in the keychain. Must not throw. */
  onAdopted: (key: string, entry: Entry) => void
  /** Must not throw, like the two below. */
  onStanding: (key: string, state: ReplicaState) => void
  onFault: (key: string, thrown: unknown) => void
  /** This node is the one that writes the mirrored Secrets, or is not any more. */
  onLead: (leads: boolean) => void
  callTimeoutMs?: number
  silenceMs?: number
}

export type Fleet = {
  share(key: string): Share
  /** As `Keychain.update`, for all nodes; see `Replica.update`. Throws FLEET_NOT_SHARED for what other nodes hold; that it may forget, though. */
  update(
    key: string,
    change: (stored: Credential | undefined) => Credential | undefined,
  ): Promise<Credential | undefined>
  /** Whether this node may write the mirrored Secrets: to be asked right before each write. */
  mayWrite(): boolean
  /** The node that writes them, as far as it is known, and whether that is this one; asks nothing. */
  writer(): { node: string; leader: string | undefined; writes: boolean }
  /** Whether this node is the one to begin what nobody has asked for. Where no node mirrors, each may. */
  leads(): boolean
  /** Whether every live node that is to hold the credential holds this `seq` of it or a later one. False where that cannot be found out. */
  allAdopted(key: string, seq: number, signal: AbortSignal): Promise<boolean>
  /** Whether a node is there; true where that cannot be found out. */
  isLive(node: string, signal: AbortSignal): Promise<boolean>
  /** The nodes that are to hold a credential; undefined where that cannot be found out. */
  holders(key: string, signal: AbortSignal): Promise<string[] | undefined>
  /** Lets the fleet know what became of the mirrored Secrets of a credential. */
  mirrored(key: string, outcome: Mirrored): void
  /** What the node that writes them told of it last; undefined where it is not known. */
  mirroredOf(key: string, signal: AbortSignal): Promise<Mirrored | undefined>
  report(signal: AbortSignal): Promise<FleetReport>
  /** How this node stands to the fleet; asks nothing. */
  credentials(): FleetReport['credentials']
  warnings(): string[]
  start(): void
  close(): Promise<void>
}

/** Keeps this node's credentials in step with those of all nodes, by canonical Secrets and Leases in one namespace. */
export function createFleet(parts: FleetParts): Fleet {
  const { config, node, time, keychain } = parts
  const { fleet } = config
  const { callTimeoutMs = CALL_TIMEOUT_MS, silenceMs = SILENCE_MS } = parts
  const cluster = openFleetCluster({
    kubeconfig: config.kubeconfig,
    namespace: fleet.namespace,
    timeoutMs: callTimeoutMs,
  })
  const closing = new AbortController()
  const identity = `${node}/${randomUUID()}`
  const mirroredHere = new Map<string, Mirrored>()
  const keys = parts.registries.filter((key) => shareOf(fleet, key) === 'shared')
  const replicas = new Map(keys.map((key) => [key, replicaOf(key)]))
  const election = createElection({
    leases: cluster.leases,
    node,
    identity,
    leaseSeconds: fleet.leaseSeconds,
    stands: config.mirrors.length > 0,
    time,
    onChange: (leads) => {
      if (!leads) mirroredHere.clear()
      parts.onLead(leads)
    },
  })
  const presence = createPresence({
    leases: cluster.leases,
    node,
    identity,
    heartbeatSeconds: fleet.heartbeatSeconds,
    time,
    note: () => ({
      adopted: new Map([...replicas].map(([key, replica]) => [key, replica.state().seq ?? 0])),
      mirrored: mirroredHere,
    }),
  })
  let running: Promise<unknown> | undefined

  function replicaOf(key: string): Replica {
    let seq: number | undefined
    return createReplica({
      ...time,
      key,
      node,
      store: cluster.store,
      keychain,
      onAdopted: parts.onAdopted,
      onStanding: (of, state) => {
        if (state.seq !== seq) presence.changed()
        seq = state.seq
        parts.onStanding(of, state)
      },
    })
  }

  function keep(key: string, replica: Replica): Promise<void> {
    const following = {
      key,
      namespace: fleet.namespace,
      replica,
      lists: cluster.lists,
      time,
      resyncMs: config.resyncIntervalMs,
      silenceMs,
      openMs: callTimeoutMs,
      onSilence: () => cluster.renew(),
      onFault: parts.onFault,
    }
    return keepSynced(following, closing.signal)
  }

  async function nodes(signal: AbortSignal): Promise<SeenNode[] | undefined> {
    const answer = await presence.nodes(AbortSignal.any([signal, closing.signal]))
    return answer.ok ? answer.value : undefined
  }

  const credentials = () =>
    [...replicas].map(([key, replica]) => ({ key, secretName: secretNameOf(key), ...replica.state() }))

  return {
    share: (key) => shareOf(fleet, key),
    async update(key, change) {
      const replica = replicas.get(key)
      if (replica !== undefined) return replica.update(change, closing.signal)
      if (shareOf(fleet, key) !== 'elsewhere') return keychain.update(key, change)
      return keychain.update(key, (stored) => {
        const next = change(stored)
        if (next !== undefined) throw new RegcreddError('FLEET_NOT_SHARED')
        return next
      })
    },
    mayWrite: election.mayWrite,
    writer: () => ({ node, leader: election.leader(), writes: election.mayWrite() }),
    leads: () => election.mayWrite() || (config.mirrors.length === 0 && election.leader() === undefined),
    async allAdopted(key, seq, signal) {
      const all = await nodes(signal)
      if (all === undefined) return false
      return all.every(({ isLive, adopted }) => !isLive || (adopted.get(key) ?? seq) >= seq)
    },
    async isLive(name, signal) {
      const all = await nodes(signal)
      return all?.find((one) => one.node === name)?.isLive ?? all === undefined
    },
    async holders(key, signal) {
      const all = await nodes(signal)
      return all?.flatMap(({ node: name, adopted }) => (adopted.has(key) ? name : []))
    },
    mirrored(key, outcome) {
      mirroredHere.set(key, outcome)
      presence.changed()
    },
    async mirroredOf(key, signal) {
      const all = await nodes(signal)
      return all?.find((one) => one.node === election.leader())?.mirrored.get(key)
    },
    async report(signal) {
      const answer = await presence.nodes(AbortSignal.any([signal, closing.signal]))
      const fault = answer.ok ? (presence.fault() ?? election.fault()) : answer.fault
      const twin = presence.hasTwin() ? twinDetail(node) : undefined
      return {
        node,
        leader: election.leader(),
        credentials: credentials(),
        nodes: answer.ok ? answer.value : undefined,
        fault: twin ?? fault?.detail,
      }
    },
    credentials,
    warnings: () => fleetWarnings(credentials(), presence.hasTwin() ? node : undefined),
    start() {
      running ??= Promise.all([
        ...[...replicas].map(([key, replica]) => keep(key, replica)),
        presence.run(closing.signal),
        election.run(closing.signal),
      ])
    },
    async close() {
      closing.abort()
      await running
      await cluster.close()
    },
  }
}
