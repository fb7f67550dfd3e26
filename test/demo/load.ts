import { setTimeout as sleep } from 'node:timers/promises'

export type Load = {
  /** Pulls so far. */
  count(): number
  end(): Promise<{ pulls: number; failures: string[] }>
}

const MAX_PULLS = 10_000
const PAUSE_MS = 20

/** Pulls one after the other, and compares the digest, until it is ended. */
export function startLoad(who: string, pull: () => Promise<string>, digest: string, signal: AbortSignal): Load {
  const failures: string[] = []
  let pulls = 0
  let going = true
  const ended = (async () => {
    while (going && pulls < MAX_PULLS && !signal.aborted) {
      const failure = await pull().then(
        (pulled) => (pulled === digest ? undefined : `another digest: ${pulled}`),
        (thrown: Error) => thrown.message,
      )
      if (failure !== undefined) failures.push(`${who}: ${failure}`)
      pulls += 1
      await sleep(PAUSE_MS)
    }
  })()
  return {
    count: () => pulls,
    async end() {
      going = false
      await ended
      return { pulls, failures }
    },
  }
}
