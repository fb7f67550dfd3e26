import { type Credential, versionOf } from '../keychain/credential.ts'
import { activeRotation } from './plan.ts'

/** What somebody should see to, of one registry. */
export type Attention =
  | { kind: 'stuck'; registry: string; rotation: string; code: string; since: string }
  | { kind: 'expires' | 'expired'; registry: string; version: string; expiresAt: string }

/** A rotation that is stuck, and a password in force that ends soon or has ended. */
export function attentionOf(
  credential: Credential,
  { warnBeforeSeconds }: { warnBeforeSeconds: number },
  now: Date,
): Attention[] {
  const registry = credential.key
  const found: Attention[] = []
  const active = activeRotation(credential)
  if (active?.state === 'STUCK') {
    const { id, code = 'NO_VERSION_WORKS', endedAt = active.startedAt } = active
    found.push({ kind: 'stuck', registry, rotation: id, code, since: endedAt })
  }
  const current = versionOf(credential, 'current')
  if (current?.expiresAt !== undefined) {
    const leftMs = Date.parse(current.expiresAt) - now.getTime()
    const about = { registry, version: current.id, expiresAt: current.expiresAt }
    if (leftMs <= 0) found.push({ kind: 'expired', ...about })
    else if (leftMs <= warnBeforeSeconds * 1_000) found.push({ kind: 'expires', ...about })
  }
  return found
}

/** One line for people. */
export function describeAttention(one: Attention): string {
  if (one.kind === 'stuck') {
    return `rotation ${one.rotation} of ${one.registry} is stuck since ${one.since} (${one.code}): see regcredd rotation show ${one.rotation}`
  }
  const when = one.kind === 'expired' ? 'has ended' : 'ends'
  return `the password of ${one.registry} (${one.version}) ${when} at ${one.expiresAt}; rotate it`
}
