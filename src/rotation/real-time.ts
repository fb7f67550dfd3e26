import { setTimeout } from 'node:timers/promises'
import type { RotationParts } from './parts.ts'

/** Time and chance as they are; a test brings its own. */
export const realTime: Pick<RotationParts, 'now' | 'sleep' | 'random'> = {
  now: () => new Date(),
  sleep: (durationMs, signal) => setTimeout(durationMs, undefined, { signal }),
  random: Math.random,
}
