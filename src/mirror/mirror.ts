import type { Config } from '../config/config.ts'
import { toRegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import type { Mirror, MirrorResult } from '../rotation/ports.ts'
import { type Applied, applyWanted, failed } from './apply.ts'
import { type Cluster, openCluster } from './cluster.ts'
import { type Fault, fault, isOfCluster } from './fault.ts'
import { keepUp, type Retry } from './keep-up.ts'
import { createPool } from './pool.ts'
import { type Target, targetsOf } from './targets.ts'
import type { Time } from './time.ts'
import { readWanted } from './wanted.ts'

const CONCURRENCY = 8
const CALL_TIMEOUT_MS = 10_000
/** So many resyncs may fail to happen until a Secret counts as stale. */
const MISSED_RESYNCS = 3

/** One Secret as it was at its last check. Times are RFC 3339, UTC. */
export type MirrorStatus = MirrorResult & {
  registries: string[]
  checkedAt: string
  /** When it was last seen to hold what the keychain holds. */
  inSyncAt: string | undefined
}

export type MirrorRoom = {
  mirror: Mirror
  /** Every Secret that has been checked since the start, in the order of the configuration. */
  results(): MirrorStatus[]
  /** Whether a Secret may hold something else than the keychain: not checked yet, failed, or not checked for long. Foreign Secrets do not count. */
  stale(): boolean
  /** Begins to compare and repair: once now, then every `resyncIntervalMs`, and sooner after failures. */
  start(): void
  /** Breaks off what is under way and waits for its end. */
  close(): Promise<void>
}

export type MirrorParts = {
  config: Config['kubernetes']
  /** Throws as `Keychain.get` does; undefined means that a readable keychain holds nothing. */
  readCredential: (key: string) => Promise<Credential | undefined>
  time: Time
  /** Told of every write and of every change of outcome or detail, not of what stayed as it was. Must not throw. */
  onChange: (status: MirrorStatus) => void
  /** For one call to the API server. */
  callTimeoutMs?: number
}

/** A Secret, what is known of it, and the end of the queue of those who want to work on it. */
type Tracked = Retry & { target: Target; status: MirrorStatus | undefined; turn: Promise<void> }

/**
 * The mirror of the keychain's CURRENT versions into Secrets. Touches no cluster and loads no client library until `start` or
 * the first `mirror`; without configuration it does nothing at all. Throws as `targetsOf` does.
 */
export function createMirror(parts: MirrorParts): MirrorRoom {
  if (parts.config === undefined) return NO_MIRROR
  const { config, time } = parts
  const cluster = openCluster({ kubeconfig: config.kubeconfig, timeoutMs: parts.callTimeoutMs ?? CALL_TIMEOUT_MS })
  const pool = createPool(CONCURRENCY)
  const closing = new AbortController()
  const tracked = targetsOf(config.mirrors).map(
    (target): Tracked => ({ target, status: undefined, failures: 0, retryAtMs: undefined, turn: Promise.resolve() }),
  )
  const upkeep = keepUp({ tracked, resyncIntervalMs: config.resyncIntervalMs, time, run, signal: closing.signal })

  async function run(some: Tracked[], signal: AbortSignal): Promise<MirrorResult[]> {
    const limits = AbortSignal.any([signal, closing.signal])
    const shared: { down: Fault | undefined } = { down: undefined }
    return Promise.all(some.map((one) => inTurn(one, () => pool(() => sync(one, shared, limits)))))
  }

  async function sync(one: Tracked, shared: { down: Fault | undefined }, signal: AbortSignal): Promise<MirrorResult> {
    const applied =
      shared.down === undefined
        ? await applyTo({ ...parts, cluster }, one.target, signal)
        : failed(nameOf(one.target), shared.down)
    if (applied.fault !== undefined && isOfCluster(applied.fault)) shared.down = applied.fault
    upkeep.settled(one, applied)
    // What closing broke off is no news of the Secret.
    if (!closing.signal.aborted) record(one, applied.result)
    return applied.result
  }

  function record(one: Tracked, result: MirrorResult): void {
    const before = one.status
    const checkedAt = time.now().toISOString()
    const inSync = result.outcome !== 'failed' && result.outcome !== 'foreign'
    const { registries } = one.target
    one.status = { ...result, registries, checkedAt, inSyncAt: inSync ? checkedAt : before?.inSyncAt }
    const written = result.outcome === 'created' || result.outcome === 'updated'
    if (written || before?.outcome !== result.outcome || before.detail !== result.detail) parts.onChange(one.status)
  }

  return {
    mirror: (key, signal) =>
      run(
        tracked.filter(({ target }) => target.registries.includes(key)),
        signal,
      ),
    results: () => tracked.flatMap(({ status }) => status ?? []),
    stale: () => {
      const oldest = time.now().getTime() - MISSED_RESYNCS * config.resyncIntervalMs
      return tracked.some(({ status }) => status === undefined || isStale(status, oldest))
    },
    start: () => upkeep.start(),
    async close() {
      closing.abort()
      await upkeep.ended()
      await Promise.all(tracked.map(({ turn }) => turn))
      await cluster.close()
    },
  }
}

const NO_MIRROR: MirrorRoom = {
  mirror: async () => [],
  results: () => [],
  stale: () => false,
  start: () => undefined,
  close: async () => undefined,
}

/** One after the other for one Secret: whoever comes later also reads the keychain later, so an old version is never written last. */
function inTurn<T>(one: Tracked, task: () => Promise<T>): Promise<T> {
  const done = one.turn.then(task)
  one.turn = done.then(
    () => undefined,
    () => undefined,
  )
  return done
}

/** Never rejects: whatever goes wrong is the result of this one Secret. */
async function applyTo(
  { cluster, time, readCredential }: { cluster: Cluster } & Pick<MirrorParts, 'time' | 'readCredential'>,
  target: Target,
  signal: AbortSignal,
): Promise<Applied> {
  const name = nameOf(target)
  try {
    const wanted = await readWanted(target.registries, readCredential)
    return await applyWanted({ cluster, time }, name, wanted, signal)
  } catch (thrown) {
    const { code, message } = toRegcreddError(thrown)
    return failed(name, fault('refused', `${code}: ${message}; nothing was written`))
  }
}

function nameOf({ namespace, secretName }: Target): { namespace: string; secretName: string } {
  return { namespace, secretName }
}

function isStale({ outcome, checkedAt }: MirrorStatus, oldestMs: number): boolean {
  return outcome === 'failed' || Date.parse(checkedAt) < oldestMs
}
