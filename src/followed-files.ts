import { type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, type RegcreddError, toRegcreddError } from './errors.ts'

/** The kernel tells of changes at once, but not behind links and not on every file system, and no idle node should be woken often. */
const LOOK_EVERY_MS = 10_000
/** A file is mostly written in more than one step, and a key beside its certificate. */
const QUIET_MS = 100

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

  let isOutdated = false
  let isClosed = false
  function lookSoon(): void {
    isOutdated = looking
    if (looking || isClosed) return
    looking = true
    void look().finally(() => {
      looking = false
      if (isOutdated) lookSoon()
    })
  }

  let told: NodeJS.Timeout | undefined
  const changed = () => {
    told ??= setTimeout(() => {
      told = undefined
      lookSoon()
    }, QUIET_MS).unref()
  }
  const watchers = [...new Set(paths.map((path) => dirname(path)))].flatMap((folder) => watched(folder, changed))
  const timer = setInterval(lookSoon, intervalMs).unref()
  return {
    now: () => value,
    fault: () => fault,
    onChange: (take) => void takers.push(take),
    close() {
      isClosed = true
      clearInterval(timer)
      clearTimeout(told)
      for (const watcher of watchers) watcher.close()
    },
  }
}

/** Nothing where the kernel cannot watch the folder: then the looks at intervals have to do. */
function watched(folder: string, changed: () => void): FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, changed)
    watcher.on('error', () => watcher.close())
    return [watcher]
  } catch {
    return []
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
