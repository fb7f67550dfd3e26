import { uptime } from 'node:os'

/**
 * A clock that nobody sets. `performance.now` stands still while a machine is suspended, the uptime does not, but is told in hundredths of a second only:
 * whichever has come further counts, so that a lease that has run out is never taken for one that has not.
 */
export function createSteadyMs(
  parts: { fine: () => number; coarse: () => number } = {
    fine: () => performance.now(),
    coarse: () => uptime() * 1_000,
  },
): () => number {
  const [fineFrom, coarseFrom] = [parts.fine(), parts.coarse()]
  return () => Math.max(parts.fine() - fineFrom, parts.coarse() - coarseFrom)
}
