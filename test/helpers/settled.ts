import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until a number has been the same for so long; fails after 30 s. */
export async function settled(what: string, read: () => number, forMs = 600): Promise<number> {
  let [before, since] = [read(), Date.now()]
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    await sleep(Math.min(50, forMs / 10))
    const now = read()
    if (now !== before) [before, since] = [now, Date.now()]
    if (Date.now() - since >= forMs) return now
  }
  throw new Error(`not at rest within 30 s: ${what}`)
}
