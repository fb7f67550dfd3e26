import type { Config } from '../config/config.ts'
import { toRegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import type { MirrorResult } from '../rotation/ports.ts'
import { type Applied, applyRemoval, applyWanted, failed } from './apply.ts'
import type { Applying, Read } from './applying.ts'
import { bulkRead } from './bulk-read.ts'
import type { Cluster } from './cluster.ts'
import { type Fault, fault, isOfCluster } from './fault.ts'
import type { Owner } from './ownership.ts'
import { createPool } from './pool.ts'
import type { SecretName } from './secrets.ts'
import { type Target, targetsIn } from './targets.ts'
import type { Time } from './time.ts'
import { inTurn, type MirrorStatus, type Tracked } from './tracked.ts'
import { readWanted } from './wanted.ts'

const CONCURRENCY = 8

type ReadCredential = (key: string) => Promise<Credential | undefined>

export type SeeTo = {
  /** Sees to all of these now; orphans only when their time has come. Gives the results in that order, and never rejects. */
  run(some: Tracked[], signal: AbortSignal): Promise<MirrorResult[]>
  /** Sees to one that somebody has changed, unless that was ourselves: then `version` is what we left. */
  afterChange(one: Tracked, changed: { key: string; version: string | undefined }): void
  /** Notes how one was found. */
  record(one: Tracked, result: MirrorResult): void
  /** Resolves when nothing is under way. */
  ended(): Promise<void>
}

/** Does the work on what is tracked: each Secret in its turn, a few at one time. */
export function createSeeTo(parts: {
  cluster: Cluster
  mirrors: NonNullable<Config['kubernetes']>['mirrors']
  /** Whether lists over the whole cluster are allowed. */
  isWide: boolean
  owner: () => Owner
  readCredential: ReadCredential
  time: Time
  isTracked: (one: Tracked) => boolean
  settled: (one: Tracked, applied: Applied) => void
  onChange: (status: MirrorStatus) => void
  onDrift: (status: MirrorStatus) => void
  closing: AbortSignal
}): SeeTo {
  const { cluster, time, closing } = parts
  const pool = createPool(CONCURRENCY)
  const busy = new Set<Promise<unknown>>()

  function tracked<T>(work: Promise<T>): Promise<T> {
    busy.add(work)
    void work.finally(() => busy.delete(work))
    return work
  }

  async function runAll(some: Tracked[], signal: AbortSignal): Promise<MirrorResult[]> {
    const limits = AbortSignal.any([signal, closing])
    const nowMs = time.now().getTime()
    const due = some.filter(({ target, retryAtMs = nowMs }) => target !== undefined || retryAtMs <= nowMs)
    const targets = parts.isWide ? due.flatMap(({ target }) => target ?? []) : []
    const shared: { down: Fault | undefined } = { down: undefined }
    const bulk = bulkRead(
      cluster,
      targets,
      (down) => {
        shared.down = down
      },
      limits,
    )
    const readCredential = once(parts.readCredential)
    return Promise.all(
      due.map((one) =>
        inTurn(one, async () => {
          const read = one.target && (await bulk(one.target))
          return pool(() => sync(one, shared, limits, readCredential, read))
        }),
      ),
    )
  }

  async function sync(
    one: Tracked,
    shared: { down: Fault | undefined },
    signal: AbortSignal,
    readCredential: ReadCredential,
    read?: Read,
  ): Promise<MirrorResult> {
    const applying: Applying = { cluster, time, owner: parts.owner(), signal }
    const applied =
      shared.down === undefined ? await act(applying, one, readCredential, read) : failed(one.name, shared.down)
    if (applied.fault !== undefined && isOfCluster(applied.fault)) shared.down = applied.fault
    // What was seen of one that is not wanted any more, and what closing broke off, is no news.
    if (!parts.isTracked(one)) {
      // The watch may tell of our own deletion before its answer has been read; it is news all the same.
      if (applied.result.outcome === 'removed') record(one, applied.result)
      return applied.result
    }
    parts.settled(one, applied)
    if (closing.aborted) return applied.result
    one.versions = applied.versions
    if (applied.drift) one.repairs += 1
    else if (applied.result.outcome === 'unchanged') one.repairs = 0
    record(one, applied.result)
    if (applied.drift && one.status !== undefined) parts.onDrift(one.status)
    return applied.result
  }

  function act(applying: Applying, one: Tracked, readCredential: ReadCredential, read?: Read): Promise<Applied> {
    return one.target === undefined ? remove(applying, one.name) : applyTo(applying, one.target, readCredential, read)
  }

  /** Looks once more, at the cluster itself, before anything is deleted: labels may have come back, and a watch may lag. */
  async function remove(applying: Applying, name: SecretName): Promise<Applied> {
    const found = await cluster.lists.namespace(name.namespace, applying.signal)
    if (!found.ok) return failed(name, found.fault)
    const { value } = found
    const isGoing = value === undefined || value.terminating
    const isWanted =
      !isGoing &&
      targetsIn(parts.mirrors, name.namespace, value.labels).some((one) => one.secretName === name.secretName)
    if (!isGoing && !isWanted) return applyRemoval(applying, name)
    const detail = isGoing ? 'the namespace is going away' : 'it is wanted again'
    const result: MirrorResult = { ...name, outcome: 'unchanged', detail }
    return { result, fault: undefined, drift: false, versions: new Map() }
  }

  function record(one: Tracked, result: MirrorResult): void {
    const before = one.status
    const checkedAt = time.now().toISOString()
    const inSync = result.outcome !== 'failed' && result.outcome !== 'foreign'
    const registries = one.target?.registries ?? []
    one.status = { ...result, registries, checkedAt, inSyncAt: inSync ? checkedAt : before?.inSyncAt }
    const written = result.outcome === 'created' || result.outcome === 'updated'
    if (written || before?.outcome !== result.outcome || before.detail !== result.detail) parts.onChange(one.status)
  }

  return {
    run: (some, signal) => tracked(runAll(some, signal)),
    afterChange(one, { key, version }) {
      const work = inTurn(one, () =>
        pool(async () => {
          // The watch may tell of our own write before its answer has been read.
          if (one.versions.get(key) === version || !parts.isTracked(one)) return
          await sync(one, { down: undefined }, closing, parts.readCredential)
        }),
      )
      void tracked(work)
    },
    record,
    async ended() {
      while (busy.size > 0) await Promise.all(busy)
    },
  }
}

/** Never rejects: whatever goes wrong is the result of this one Secret. */
async function applyTo(
  applying: Applying,
  target: Target,
  readCredential: ReadCredential,
  read: Read | undefined,
): Promise<Applied> {
  try {
    const wanted = await readWanted(target.registries, readCredential)
    return await applyWanted(applying, target, wanted, read)
  } catch (thrown) {
    const { code, message } = toRegcreddError(thrown)
    return failed(target, fault('refused', `${code}: ${message}; nothing was written`))
  }
}

/**
 * Reads each credential once in a run, when it is first asked for. That is after the run has taken its place in every queue, so a run that comes
 * later has read later too.
 */
function once(readCredential: ReadCredential): ReadCredential {
  const read = new Map<string, Promise<Credential | undefined>>()
  return (key) => {
    const known = read.get(key) ?? readCredential(key)
    read.set(key, known)
    return known
  }
}
