import type { Config } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import type { Mirror, MirrorResult } from '../rotation/ports.ts'
import { CALL_TIMEOUT_MS } from './call.ts'
import { type Checked, checkRights } from './check.ts'
import { guardWrites, openCluster } from './cluster.ts'
import { type Following, SILENCE_MS } from './follow.ts'
import { keepUp, spread } from './keep-up.ts'
import type { Meta } from './objects.ts'
import { isSurelyOurs, type Owner } from './ownership.ts'
import { createPicture } from './picture.ts'
import { type Needed, rightsOf } from './rights.ts'
import { createSeeTo } from './see-to.ts'
import { followedAccounts, followedSecrets, needsWatch } from './selection.ts'
import { namedNamespaces, type Target, targetsIn } from './targets.ts'
import type { Time } from './time.ts'
import { createTracking, type MirrorStatus, type Tracked } from './tracked.ts'

export type { MirrorStatus } from './tracked.ts'

/** So many resyncs may fail to happen until a Secret counts as stale, and so many silences until a watch does. */
const MISSED = 3
/** In a row; whoever goes on changing a Secret is answered more slowly then. */
const UNPAUSED_REPAIRS = 3
const FIGHT_PAUSE_MS = 1_000
const LAST_FIGHT_PAUSE_MS = 60_000

export type MirrorRoom = {
  mirror: Mirror
  /** The Secrets that a credential goes to, and the ServiceAccounts that name them, as far as the cluster is known: for a dry run. */
  plan(key: string): Pick<Target, 'namespace' | 'secretName' | 'serviceAccounts'>[]
  /** Every Secret that has been checked since the start. */
  results(): MirrorStatus[]
  /**
   * Whether a Secret may hold something else than the keychain: not checked yet, failed, or not checked for long; or a watch is dead, or the
   * namespaces are not known. Foreign Secrets and orphans do not count.
   */
  stale(): boolean
  /** The watches and when each was last heard of; empty where namespaces are only named. */
  watches(): Following[]
  /** Asks the API server for every right that the configuration needs. Throws KUBERNETES_NOT_CONFIGURED, and KUBERNETES_FAILED where it cannot be asked. */
  check(signal: AbortSignal): Promise<Checked>
  /** Begins to follow, compare and repair: once now, at every change, every `resyncIntervalMs`, and sooner after failures. */
  start(): void
  /** Breaks off what is under way and waits for its end. */
  close(): Promise<void>
}

export type MirrorParts = {
  config: Config['kubernetes']
  /** The owner's name where the configuration has none. */
  owner: string
  /** Throws as `Keychain.get` does; undefined means that a readable keychain holds nothing. */
  readCredential: (key: string) => Promise<Credential | undefined>
  time: Time
  /** Told of every write and of every change of outcome or detail, not of what stayed as it was. Must not throw. */
  onChange: (status: MirrorStatus) => void
  /** Told when something that we wrote had been changed by somebody, and was repaired. Must not throw. */
  onDrift?: (status: MirrorStatus) => void
  /** Asked before each write to the cluster: whether this node is the one that writes. Default: it is. */
  mayWrite?: () => boolean
  /** What else `check` asks for. */
  moreRights?: Needed[]
  /** For one call to the API server. */
  callTimeoutMs?: number
  /** How long a watch may be without a sign of life. */
  silenceMs?: number
}

/**
 * The mirror of the keychain's CURRENT versions into Secrets. Touches no cluster and loads no client library until `start` or
 * the first `mirror`; without configuration it does nothing at all. Throws as `targetsIn` does.
 */
export function createMirror(parts: MirrorParts): MirrorRoom {
  if (parts.config === undefined) return NO_MIRROR
  const { config, time } = parts
  const { callTimeoutMs = CALL_TIMEOUT_MS, silenceMs = SILENCE_MS } = parts
  const { mirrors } = config
  const opened = openCluster({ kubeconfig: config.kubeconfig, timeoutMs: callTimeoutMs })
  const cluster = guardWrites(opened, parts.mayWrite ?? (() => true))
  const isWide = mirrors.some(needsWatch)
  let started = false
  const closing = new AbortController()
  const tracking = createTracking()
  const named = namedNamespaces(mirrors)
  const upkeep = keepUp<Tracked>({
    tracked: tracking.all,
    resyncIntervalMs: config.resyncIntervalMs,
    time,
    run: (some, signal) => seeTo.run(some, signal),
    signal: closing.signal,
  })
  const picture = createPicture({
    lists: cluster.lists,
    secretNames: followedSecrets(config),
    accounts: followedAccounts(config),
    time,
    silenceMs,
    relistMs: config.resyncIntervalMs,
    openMs: callTimeoutMs,
    onNamespaces: (names) => retarget([...names, ...named]),
    onSecret: (type, meta) => {
      if (!picture.isKnown()) return
      const one = tracking.get(meta.namespace, meta.name)
      if (one?.target === undefined) retarget([meta.namespace])
      else recheck(one, '', type === 'set' ? meta.resourceVersion : undefined)
    },
    onAccount: (type, meta) => {
      for (const one of tracking.inNamespace(meta.namespace)) {
        const isNamed = one.target?.serviceAccounts.includes(meta.name) === true
        if (isNamed) recheck(one, meta.name, type === 'set' ? meta.resourceVersion : undefined)
      }
    },
    onSilence: () => opened.renew(),
    signal: closing.signal,
  })
  const owner = (): Owner => ({ name: config.owner ?? parts.owner, cluster: picture.clusterUid() })
  const seeTo = createSeeTo({
    ...parts,
    cluster,
    mirrors,
    isWide,
    owner,
    isTracked: tracking.isTracked,
    settled: (one, applied) => {
      upkeep.settled(one, applied)
      if (one.target === undefined && applied.fault === undefined) tracking.drop(one)
    },
    onDrift: parts.onDrift ?? (() => undefined),
    closing: closing.signal,
  })
  for (const namespace of named) tracking.settle(namespace, targetsIn(mirrors, namespace, undefined), [])

  /** Brings what is tracked in these namespaces up to what is known of them, and sees to what is new. */
  function retarget(namespaces: string[]): void {
    const fresh = [...new Set(namespaces)].flatMap((namespace) => {
      const meta = picture.namespace(namespace)
      // Kubernetes itself clears a namespace that is going away, and lets nobody write into it.
      if (meta?.terminating === true) return tracking.settle(namespace, [], [])
      const targets = targetsIn(mirrors, namespace, meta?.labels)
      const wanted = new Set(targets.map(({ secretName }) => secretName))
      const orphans = picture.secretsIn(namespace).filter((secret) => isOrphan(secret, wanted))
      return tracking.settle(namespace, targets, meta === undefined ? [] : orphans.map(({ name }) => name), meta?.uid)
    })
    const [orphans, targets] = [[] as Tracked[], [] as Tracked[]]
    for (const one of fresh) (one.target === undefined ? orphans : targets).push(one)
    for (const one of orphans) announce(one)
    if (targets.length > 0 && started) void seeTo.run(targets, closing.signal)
  }

  function isOrphan({ name, labels, annotations, terminating }: Meta, wanted: Set<string>): boolean {
    return !wanted.has(name) && !terminating && isSurelyOurs(labels, annotations, owner())
  }

  function announce(one: Tracked): void {
    const atMs = time.now().getTime() + config.orphansAfterMs
    const detail = `no mirror wants it any more; it is deleted after ${new Date(atMs).toISOString()}`
    upkeep.wait(one, config.orphansAfterMs)
    seeTo.record(one, { ...one.name, outcome: 'orphan', detail })
  }

  /** Sees to a Secret again that somebody else has changed. */
  function recheck(one: Tracked | undefined, key: string, version: string | undefined): void {
    if (one?.target === undefined || one.status === undefined || one.versions.get(key) === version) return
    if (one.repairs < UNPAUSED_REPAIRS) {
      seeTo.afterChange(one, { key, version })
      return
    }
    const pauseMs = Math.min(FIGHT_PAUSE_MS * 2 ** Math.min(one.repairs - UNPAUSED_REPAIRS, 10), LAST_FIGHT_PAUSE_MS)
    upkeep.wait(one, spread(pauseMs, time.random()))
  }

  return {
    async mirror(key, signal) {
      if (isWide && !picture.isKnown()) {
        started = true
        picture.start()
        const limits = AbortSignal.any([signal, closing.signal])
        await Promise.race([picture.known, time.sleep(callTimeoutMs, limits).catch(() => undefined)])
        if (!picture.isKnown()) return unknownYet(key)
      }
      return seeTo.run(
        tracking.all().filter(({ target }) => target?.registries.includes(key)),
        signal,
      )
    },
    plan: (key) =>
      tracking
        .all()
        .flatMap(({ target }) => (target?.registries.includes(key) ? target : []))
        .map(({ namespace, secretName, serviceAccounts }) => ({ namespace, secretName, serviceAccounts })),
    results: () => tracking.all().flatMap(({ status }) => status ?? []),
    stale: () => {
      const nowMs = time.now().getTime()
      if (isWide && picture.watches().some((watch) => isDead(watch, nowMs - MISSED * silenceMs))) return true
      const oldestMs = nowMs - MISSED * config.resyncIntervalMs
      return tracking
        .all()
        .some(({ target, status }) => target !== undefined && (status === undefined || isStale(status, oldestMs)))
    },
    watches: () => (isWide ? picture.watches() : []),
    check: (signal) =>
      checkRights(cluster.review, [...rightsOf(config), ...(parts.moreRights ?? [])], picture.namespaces(), signal),
    start: () => {
      started = true
      if (isWide) picture.start()
      upkeep.start()
    },
    async close() {
      closing.abort()
      await Promise.all([upkeep.ended(), picture.ended()])
      await seeTo.ended()
      await cluster.close()
    },
  }

  /** The results of a run that cannot know the namespaces: never an empty list, which would say that there is nothing to do. */
  function unknownYet(key: string): MirrorResult[] {
    const watch = picture.watches().find(({ subject }) => subject.kind === 'namespaces')
    const why = watch?.fault?.detail ?? 'the Kubernetes API has not answered yet'
    const detail = `the namespaces are not known: ${why}`
    return mirrors
      .filter(({ registries }) => registries.includes(key))
      .map(({ secretName }) => ({ namespace: '*', secretName, outcome: 'failed', detail }))
  }
}

const NO_MIRROR: MirrorRoom = {
  mirror: async () => [],
  plan: () => [],
  results: () => [],
  stale: () => false,
  watches: () => [],
  check: async () => {
    throw new RegcreddError('KUBERNETES_NOT_CONFIGURED')
  },
  start: () => undefined,
  close: async () => undefined,
}

function isStale({ outcome, checkedAt }: MirrorStatus, oldestMs: number): boolean {
  return outcome === 'failed' || Date.parse(checkedAt) < oldestMs
}

function isDead({ isListed, heardAtMs }: Following, oldestMs: number): boolean {
  return !isListed || heardAtMs === undefined || heardAtMs < oldestMs
}
