import { setTimeout as sleep } from 'node:timers/promises'

/** Asks until the answer is so, once more after `withinMs`, for the machine may have stood still; then fails with what was asked for. */
export async function eventually<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const isLast = performance.now() > deadlineMs
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (isLast) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(20)
  }
}
