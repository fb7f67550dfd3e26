import { setTimeout } from 'node:timers/promises'
import type { RotationParts } from './parts.ts'

/** Time and chance as they are; a test brings its own. */
export const realTime: Pick<RotationParts, 'now' | 'monotonicMs' | 'sleep' | 'rest' | 'random'> = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: (durationMs, signal) => setTimeout(durationMs, undefined, { signal }),
  // Nothing is lost when the process ends meanwhile: the next one takes it up.
  rest: (durationMs, signal) => setTimeout(durationMs, undefined, { signal, ref: false }),
  random: Math.random,
}
