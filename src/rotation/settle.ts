import { type ErrorCode, RegcreddError } from '../errors.ts'
import type { Version } from '../keychain/credential.ts'
import { audited, daemonActor } from './acts.ts'
import type { RotationParts } from './parts.ts'
import { abort, commit, findRotation } from './plan.ts'
import type { Verdict } from './ports.ts'
import { codeOf, retryDelayMs } from './schedule.ts'

type Staged = { version: Version; startedAtMs: number; deadlineMs: number }

/**
 * Brings a staged rotation to its end: tries PENDING at the registry until it is accepted, and commits; or until its deadline
 * has passed, and aborts. A refusal before the deadline decides nothing: the registry may learn the password later.
 * Returns early, with the rotation as it is, when the signal is aborted or somebody else has ended it. Never throws.
 */
export async function settle(parts: RotationParts, key: string, id: string, signal: AbortSignal): Promise<void> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    const staged = await patiently(parts, key, id, () => readStaged(parts, key, id), signal)
    if (staged === undefined) return
    // Taken before the question: whatever is asked at or after the deadline was the last try.
    const askedAtMs = parts.now().getTime()
    const verdict = await ask(parts, key, id, staged.version, signal)
    if (signal.aborted) return
    if (verdict.outcome === 'accepted') {
      await patiently(parts, key, id, () => commitAudited(parts, key, id, staged.version), signal)
      return
    }
    if (verdict.outcome === 'unverifiable' || askedAtMs >= staged.deadlineMs) {
      await patiently(parts, key, id, () => abortAudited(parts, key, id, codeOf(verdict)), signal)
      return
    }
    const nowMs = parts.now().getTime()
    const delayMs = retryDelayMs(tries, nowMs - staged.startedAtMs, parts.random())
    await pause(parts, Math.max(0, Math.min(delayMs, staged.deadlineMs - nowMs)), signal)
  }
}

/**
 * Tries something of our own (keychain, audit) until it works: what the registry said stands, and must not be lost over a locked keychain.
 * Bounded by the signal alone; after a restart the rotation is taken up where the keychain says it is.
 * Gives undefined when the signal is aborted, or when the rotation or its credential has come to an end meanwhile.
 */
export async function patiently<T>(
  parts: RotationParts,
  key: string,
  rotation: string | undefined,
  act: () => Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const sinceMs = parts.now().getTime()
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      return await act()
    } catch (thrown) {
      if (thrown instanceof RegcreddError && isEnd(thrown.code)) return undefined
      parts.onFault(thrown, { key, rotation })
      await pause(parts, retryDelayMs(tries, parts.now().getTime() - sinceMs, parts.random()), signal)
    }
  }
  return undefined
}

function isEnd(code: ErrorCode): boolean {
  return code === 'ROTATION_SETTLED' || code === 'ROTATION_NOT_FOUND'
}

async function readStaged(parts: RotationParts, key: string, id: string): Promise<Staged | undefined> {
  const stored = await parts.keychain.get(key)
  const record = findRotation(stored, id)
  if (record?.state !== 'STAGED') return undefined
  const version = stored?.versions.find((candidate) => candidate.id === record.version)
  if (version === undefined) throw new RegcreddError('KEYCHAIN_CORRUPT', 'a staged version is missing')
  return { version, startedAtMs: Date.parse(record.startedAt), deadlineMs: Date.parse(record.deadline) }
}

async function ask(
  parts: RotationParts,
  key: string,
  id: string,
  version: Version,
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    return await parts.verify(key, version, signal)
  } catch (thrown) {
    // Verify promises not to throw; if it does, that decides nothing about the password.
    parts.onFault(thrown, { key, rotation: id })
    return { outcome: 'unreachable', detail: 'the check itself failed' }
  }
}

function commitAudited(parts: RotationParts, key: string, id: string, version: Version): Promise<unknown> {
  const act = {
    actor: daemonActor,
    action: 'rotation.commit' as const,
    target: key,
    detail: { rotation: id, version: version.id },
  }
  return audited(parts.onAct, act, () => parts.keychain.update(key, (stored) => commit(stored, id, parts.now())))
}

function abortAudited(parts: RotationParts, key: string, id: string, code: ErrorCode): Promise<unknown> {
  const act = { actor: daemonActor, action: 'rotation.abort' as const, target: key, detail: { rotation: id, code } }
  return audited(parts.onAct, act, () => parts.keychain.update(key, (stored) => abort(stored, id, code, parts.now())))
}

async function pause(parts: RotationParts, durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await parts.sleep(durationMs, signal)
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  }
}
