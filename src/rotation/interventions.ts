import { RegcreddError } from '../errors.ts'
import type { RotationRecord } from '../keychain/credential.ts'
import { versionOf } from '../keychain/credential.ts'
import { journalled } from './act-journal.ts'
import type { Actor } from './acts.ts'
import { pastOf } from './apply.ts'
import type { Driver } from './driver.ts'
import { type Found, find } from './find.ts'
import type { RotationParts } from './parts.ts'
import { abort, findRotation, resolve, stage, wayOf } from './plan.ts'
import { describeProbes, probeAll, tryVersion } from './probe.ts'
import { openActs } from './reconcile.ts'
import type { RollbackRequest } from './rotations.ts'
import { act, stateIn, subjectOf } from './run.ts'
import { refuseElsewhere } from './whose.ts'

export type Outcome = { key: string; record: RotationRecord }

/** Drops PENDING, see `Rotations.abort`. */
export async function abortOnRequest(
  parts: RotationParts,
  driver: Driver,
  id: string,
  actor: Actor,
  signal: AbortSignal,
): Promise<Outcome> {
  const found = await find(parts, id)
  const { key, record } = found
  if (record.state === 'ABORTED') return found
  if (record.state !== 'STAGED' && record.state !== 'STUCK') {
    throw new RegcreddError('ROTATION_SETTLED', 'it was committed')
  }
  await refuseElsewhere(parts, record, signal)
  const isDriven = record.state === 'STAGED'
  if (record.state === 'STUCK' || wayOf(record) !== 'provided') {
    // Before it is stopped: that would kill a hook half-way.
    if (mayStillChange(parts, record))
      throw new RegcreddError('ROTATION_APPLIED', 'its hook may still change something')
    await driver.stop(id)
    if (!(await isCurrentGood(parts, key, id, signal))) {
      if (isDriven) driver.drive(key, id, 'resumed')
      throw new RegcreddError('ROTATION_APPLIED')
    }
  }
  try {
    const code = record.state === 'STUCK' ? 'NO_VERSION_WORKS' : 'ROTATION_ABORTED'
    const drop = () => parts.keychain.update(key, (before) => abort(before, id, code, parts.now()))
    const run = { parts, key, id }
    const stored = await act(run, { action: 'rotation.abort', actor }, () =>
      journalled(parts, 'abort on request', subjectOf(run), drop, stateIn(run)),
    )
    await driver.stop(id)
    return demand(key, findRotation(stored, id))
  } catch (thrown) {
    if (isDriven) driver.drive(key, id, 'resumed')
    throw thrown
  }
}

/** Whether a hook is running, or one that was cut off may have sent what the registry has not done yet. */
function mayStillChange({ journal, now }: RotationParts, { id, deadline, state }: RotationRecord): boolean {
  const records = journal.of(id)
  if (openActs(records).includes('apply')) return true
  return state === 'STAGED' && pastOf(records).isInFlight && now().getTime() < Date.parse(deadline)
}

/** Whether PENDING may be dropped: no hook has begun to put something else into CURRENT's place, or CURRENT is seen to work. */
async function isCurrentGood(parts: RotationParts, key: string, id: string, signal: AbortSignal): Promise<boolean> {
  const { stored, record } = await find(parts, id, key)
  if (mayStillChange(parts, record)) return false
  const records = parts.journal.of(id)
  // A journal that knows nothing of it, because it was lost, says nothing of a hook.
  if (record.state === 'STAGED' && records.length > 0 && pastOf(records).last === undefined) return true
  const verdict = await tryVersion({ parts, key, id, signal }, stored, 'current')
  return verdict.outcome === 'accepted'
}

/** Stages PREVIOUS as a rotation of its own, see `Rotations.rollback`. `onStored` is called once it is durable, whatever becomes of the audit's outcome. */
export async function stageRollback(
  parts: RotationParts,
  of: string,
  id: string,
  { deadlineSeconds, actor }: RollbackRequest,
  onStored: (key: string) => void,
): Promise<Outcome> {
  const { key } = await find(parts, of)
  if (!parts.isListed(key)) throw new RegcreddError('REGISTRY_UNLISTED')
  const now = parts.now()
  const deadline = new Date(now.getTime() + deadlineSeconds * 1_000)
  const put = () =>
    parts.keychain.update(key, (before) => {
      const login = previousOf(before, of)
      const asked = { idempotencyKey: undefined, bodyHash: undefined }
      return stage(before, { rotationId: id, way: 'rollback', rollbackOf: of, login, deadline, now, ...asked })
    })
  const intent = { action: 'rotation.start' as const, detail: { rollbackOf: of }, actor }
  const run = { parts, key, id }
  const stored = await act(run, intent, async () => {
    const staged = await journalled(parts, 'stage a rollback', subjectOf(run), put, stateIn(run))
    onStored(key)
    return staged
  })
  return demand(key, findRotation(stored, id))
}

function previousOf(stored: Found['stored'] | undefined, of: string) {
  const record = findRotation(stored, of)
  const previous = stored && versionOf(stored, 'previous')
  if (record === undefined || stored === undefined) throw new RegcreddError('ROTATION_NOT_FOUND')
  if (record.state !== 'COMMITTED' && record.state !== 'RETIRED') {
    throw new RegcreddError('ROLLBACK_IMPOSSIBLE', 'it was not committed')
  }
  if (record.version !== stored.current) {
    throw new RegcreddError('ROLLBACK_IMPOSSIBLE', `${record.version} is not in force any more`)
  }
  if (previous === undefined) throw new RegcreddError('ROLLBACK_IMPOSSIBLE', 'PREVIOUS is gone')
  return previous
}

/** Ends STUCK, see `Rotations.resolve`. `onStored` is as with `stageRollback`. */
export async function resolveOnRequest(
  parts: RotationParts,
  id: string,
  version: string,
  actor: Actor,
  onStored: (outcome: Outcome) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const { key, stored, record } = await find(parts, id)
  if (record.state !== 'STUCK') throw new RegcreddError('ROTATION_NOT_STUCK')
  await refuseElsewhere(parts, record, signal)
  const run = { parts, key, id, signal }
  const probes = await probeAll(run, stored)
  const named = probes.find((probe) => probe.version === version)
  if (named?.outcome !== 'accepted') {
    const which = named === undefined ? `${version} is not stored; ` : ''
    throw new RegcreddError('VERSION_REFUSED', `${which}${describeProbes(probes)}`)
  }
  const { graceSeconds } = parts.policyOf(key)
  const move = () => parts.keychain.update(key, (before) => resolve(before, id, version, parts.now(), graceSeconds))
  return act(run, { action: 'rotation.resolve', detail: { version }, actor }, async () => {
    const after = await journalled(parts, 'resolve', subjectOf(run), move, stateIn(run))
    const outcome = demand(key, findRotation(after, id))
    onStored(outcome)
    return outcome
  })
}

function demand(key: string, record: RotationRecord | undefined): Outcome {
  if (record === undefined) throw new RegcreddError('ROTATION_NOT_FOUND')
  return { key, record }
}
