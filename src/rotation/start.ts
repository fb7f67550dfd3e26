import { randomUUID } from 'node:crypto'
import { RegcreddError } from '../errors.ts'
import type { RotationRecord } from '../keychain/credential.ts'
import { journalled } from './act-journal.ts'
import type { RotationParts } from './parts.ts'
import { findRotation, refuseWhileActive } from './plan.ts'
import { act } from './run.ts'
import { repeated, type StartRequest, sameRequest, stageRequest } from './start-request.ts'

/**
 * Stages what was asked for, or finds what the same request has staged before; see `Rotations.start`. `onStored` is called once it is durable, whatever
 * becomes of the audit's outcome.
 */
export async function startRotation(
  parts: RotationParts,
  key: string,
  request: StartRequest,
  onStored: (record: RotationRecord) => void,
): Promise<RotationRecord> {
  if (!parts.isListed(key)) throw new RegcreddError('REGISTRY_UNLISTED')
  const policy = parts.policyOf(key)
  if (request.secret === undefined && policy.hook === undefined) throw new RegcreddError('HOOK_NOT_CONFIGURED')
  const id = randomUUID()
  return act(
    { parts, key, id },
    { action: 'rotation.start', actor: request.actor },
    async () => {
      const now = await parts.keychain.get(key)
      const earlier = repeated(now, request) && now && sameRequest(now, request)
      if (earlier !== undefined) {
        onStored(earlier)
        return earlier
      }
      // Asked before the journal is written: a refusal is no story of its own.
      refuseWhileActive(now)
      const put = () =>
        parts.keychain.update(
          key,
          (before) => repeated(before, request) ?? stageRequest(before, id, request, parts.now(), policy.generate),
        )
      const stored = await journalled(parts, 'stage', { key, rotation: id }, put, (result) =>
        findRotation(result, id) === undefined ? { outcome: 'repeated' } : { state: 'STAGED' },
      )
      const found = stored && (sameRequest(stored, request) ?? findRotation(stored, id))
      if (found === undefined) throw new RegcreddError('KEYCHAIN_UNAVAILABLE', 'it gave back something else')
      onStored(found)
      return found
    },
    (found) => ({ rotation: found.id, version: found.version }),
  )
}
