/** Lets at most `size` tasks run at one time; the others wait in the order in which they came. */
export function createPool(size: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0

  return async (task) => {
    if (running >= size) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      // The place goes straight to the next in line, so that nobody who comes now can take it.
      if (next === undefined) running -= 1
      else next()
    }
  }
}
