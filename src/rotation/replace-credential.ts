import { RegcreddError } from '../errors.ts'
import { versionOf } from '../keychain/credential.ts'
import { type Actor, audited } from './acts.ts'
import type { Login } from './labels.ts'
import type { RotationParts } from './parts.ts'
import { refuseLogin, replace } from './plan.ts'
import { marked } from './points.ts'

/** What a login left in the keychain. */
export type Stored = { key: string; username: string; version: string; seq: number }

const HINT = 'nothing was stored; with "verify": false (--no-verify) it is stored unseen'

/** Verifies and stores, see `Rotations.replaceCredential`; `onStored` is called once it is durable, whatever becomes of the audit's outcome. */
export async function replaceVerified(
  parts: RotationParts,
  key: string,
  login: Login,
  verify: 'required' | 'skip',
  actor: Actor,
  onStored: () => void,
  signal: AbortSignal,
): Promise<Stored> {
  const act = { actor, action: 'credential.put' as const, target: key, detail: { verify } }
  return audited(
    parts.onAct,
    act,
    async () => {
      // Asked before the registry is: a password that cannot be stored is not sent anywhere.
      refuseLogin(await parts.keychain.get(key))
      if (verify === 'required') await demandAccepted(parts, key, login, signal)
      const put = () => parts.keychain.update(key, (before) => replace(before, key, login, parts.now()))
      const stored = await marked(parts.pass, 'login', put)
      onStored()
      const current = stored && versionOf(stored, 'current')
      if (stored === undefined || current === undefined) throw new RegcreddError('KEYCHAIN_UNAVAILABLE')
      return { key, username: current.username, version: current.id, seq: stored.seq }
    },
    (result) => ({ version: result.version }),
  )
}

async function demandAccepted(parts: RotationParts, key: string, login: Login, signal: AbortSignal): Promise<void> {
  const verdict = await marked(parts.pass, 'try a login', () => parts.verify(key, login, signal))
  if (verdict.outcome === 'accepted') return
  if (signal.aborted) throw new RegcreddError('SHUTTING_DOWN')
  if (verdict.outcome === 'rejected') throw new RegcreddError('CREDENTIAL_REFUSED', verdict.detail)
  const code = verdict.outcome === 'unreachable' ? 'UPSTREAM_UNREACHABLE' : 'CREDENTIAL_UNVERIFIABLE'
  throw new RegcreddError(code, `${verdict.detail}; ${HINT}`)
}
