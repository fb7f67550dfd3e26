import { RegcreddError } from '../errors.ts'
import type { RotationRecord } from '../keychain/credential.ts'
import type { RotationParts } from './parts.ts'

type Parts = Pick<RotationParts, 'fleet'>

/** Whether this node drives a rotation on: two that did would run its hook twice. */
export function isDrivenHere({ fleet }: Parts, { node }: Pick<RotationRecord, 'node'>): boolean {
  return fleet === undefined || node === undefined || node === fleet.node
}

/** Lets nobody end a rotation but on the node that drives it, while that is there: its journal alone knows how far the hook has come. Throws ROTATION_ELSEWHERE. */
export async function refuseElsewhere(parts: Parts, record: RotationRecord, signal: AbortSignal): Promise<void> {
  const { fleet } = parts
  const { node } = record
  if (fleet === undefined || node === undefined || isDrivenHere(parts, record)) return
  if (await fleet.isLive(node, signal)) throw new RegcreddError('ROTATION_ELSEWHERE', `it is driven by ${node}`)
}
