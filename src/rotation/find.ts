import { RegcreddError } from '../errors.ts'
import type { Credential, RotationRecord } from '../keychain/credential.ts'
import type { RotationParts } from './parts.ts'
import { findRotation } from './plan.ts'

export type Found = { key: string; stored: Credential; record: RotationRecord }

/**
 * Looks where `at` says, or everywhere. Throws ROTATION_NOT_FOUND, which may only be said when all that it may be in could be read, else KEYCHAIN_*.
 */
export async function find({ keychain }: Pick<RotationParts, 'keychain'>, id: string, at?: string): Promise<Found> {
  let unreadable: unknown
  for (const key of at === undefined ? await keychain.keys() : [at]) {
    try {
      const stored = await keychain.get(key)
      const record = findRotation(stored, id)
      if (stored !== undefined && record !== undefined) return { key, stored, record }
    } catch (thrown) {
      unreadable ??= thrown
    }
  }
  throw unreadable ?? new RegcreddError('ROTATION_NOT_FOUND')
}
