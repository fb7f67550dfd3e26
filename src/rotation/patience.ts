import { type ErrorCode, RegcreddError } from '../errors.ts'
import type { RotationParts } from './parts.ts'
import { retryDelayMs } from './schedule.ts'

type Parts = Pick<RotationParts, 'monotonicMs' | 'sleep' | 'random' | 'onFault'>

/**
 * Tries something of our own (keychain, journal, audit) until it works: what the registry said stands, and must not be lost over a locked keychain.
 * Bounded by the signal alone; after a restart the rotation is taken up where the keychain says it is.
 * Gives undefined when the signal is aborted, or when the rotation or its credential has come to an end meanwhile.
 */
export async function patiently<T>(
  parts: Parts,
  key: string,
  rotation: string | undefined,
  act: () => Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const sinceMs = parts.monotonicMs()
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      return await act()
    } catch (thrown) {
      if (thrown instanceof RegcreddError && isEnd(thrown.code)) return undefined
      parts.onFault(thrown, { key, rotation })
      await pause(parts, retryDelayMs(tries, parts.monotonicMs() - sinceMs, parts.random()), signal)
    }
  }
  return undefined
}

/** Sleeps, and simply ends when the signal is aborted. */
export async function pause(parts: Pick<Parts, 'sleep'>, durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await parts.sleep(durationMs, signal)
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  }
}

function isEnd(code: ErrorCode): boolean {
  return code === 'ROTATION_SETTLED' || code === 'ROTATION_NOT_FOUND'
}
