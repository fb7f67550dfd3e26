import { stat } from 'node:fs/promises'
import { errnoOf, type RegcreddError, toRegcreddError } from './errors.ts'

const LOOK_EVERY_MS = 2_000

/** What some files hold, as far as it can be used: a state of them that cannot leaves the one before it in force. */
export type Followed<T> = {
  now(): T
  /** What is wrong with the files as they lie there now. */
  fault(): RegcreddError | undefined
  /** `take` is called with every later value. */
  onChange(take: (value: T) => void): void
  close(): void
}

export type FollowOptions = {
  /** Told when a new value is in force, and when one cannot be: once for each reason. */
  onNews: (fault: RegcreddError | undefined) => void
  intervalMs?: number
}

/**
 * Reads files, and again whenever one of them has changed, or could not be used at the last look. Links are followed, as those of cert-manager
 * and certbot move. Nothing is read while another reading lasts, so a slow disk lets no earlier state win.
 * @throws what `read` throws, at first
 */
export async function followFiles<T>(
  paths: readonly string[],
  read: () => Promise<T>,
  { onNews, intervalMs = LOOK_EVERY_MS }: FollowOptions,
): Promise<Followed<T>> {
  // Before the reading: what changes meanwhile is seen at the next look.
  let seen = await stampOf(paths)
  let value = await read()
  let fault: RegcreddError | undefined
  let looking = false
  const takers: ((value: T) => void)[] = []

  async function look(): Promise<void> {
    const stamp = await stampOf(paths)
    if (stamp === seen && fault === undefined) return
    seen = stamp
    const before = fault
    try {
      value = await read()
      fault = undefined
      for (const take of takers) take(value)
    } catch (thrown) {
      fault = toRegcreddError(thrown)
    }
    if (fault === undefined || fault.message !== before?.message) onNews(fault)
  }

  const timer = setInterval(() => {
    if (looking) return
    looking = true
    void look().finally(() => {
      looking = false
    })
  }, intervalMs).unref()
  return {
    now: () => value,
    fault: () => fault,
    onChange: (take) => void takers.push(take),
    close: () => clearInterval(timer),
  }
}

async function stampOf(paths: readonly string[]): Promise<string> {
  const stamps = paths.map((path) =>
    stat(path, { bigint: true }).then(
      ({ dev, ino, size, mode, mtimeNs, ctimeNs }) => [dev, ino, size, mode, mtimeNs, ctimeNs].join('-'),
      (thrown) => errnoOf(thrown) ?? 'unknown',
    ),
  )
  return (await Promise.all(stamps)).join(' ')
}
