/** Tells those who follow a rotation that something about it has changed. */
export type Changes = {
  changed: (id: string) => void
  /** Resolves after the next change since the last call, at once if there was one meanwhile; `false` when the signal is aborted. */
  listen: (id: string, signal: AbortSignal) => { next: () => Promise<boolean>; stop: () => void }
}

export function createChanges(): Changes {
  const listeners = new Map<string, Set<() => void>>()
  return {
    changed(id) {
      for (const wake of listeners.get(id) ?? []) wake()
    },
    listen(id, signal) {
      let isNew = false
      let wakeUp: ((isNews: boolean) => void) | undefined
      const wake = () => {
        isNew = true
        wakeUp?.(true)
      }
      const end = () => wakeUp?.(false)
      const ofRotation = listeners.get(id) ?? new Set()
      listeners.set(id, ofRotation.add(wake))
      signal.addEventListener('abort', end)
      return {
        async next() {
          if (!isNew && !signal.aborted) {
            const { promise, resolve } = Promise.withResolvers<boolean>()
            wakeUp = resolve
            await promise
          }
          isNew = false
          return !signal.aborted
        },
        stop() {
          signal.removeEventListener('abort', end)
          ofRotation.delete(wake)
          if (ofRotation.size === 0) listeners.delete(id)
        },
      }
    },
  }
}
