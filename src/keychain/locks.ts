/** Runs `work` when all earlier work under the same name has ended, whether well or badly. Gives what `work` gives. */
export type RunLocked = <T>(name: string, work: () => Promise<T>) => Promise<T>

/** A set of named locks, each first come, first served. A name costs nothing once nobody waits for it. */
export function createLocks(): RunLocked {
  const tails = new Map<string, Promise<void>>()
  return async (name, work) => {
    const before = tails.get(name) ?? Promise.resolve()
    const result = before.then(work)
    // The caller gets a failure through `result`; whoever comes next only needs to know that it is over.
    const tail = result.then(
      () => undefined,
      () => undefined,
    )
    tails.set(name, tail)
    try {
      return await result
    } finally {
      if (tails.get(name) === tail) tails.delete(name)
    }
  }
}
