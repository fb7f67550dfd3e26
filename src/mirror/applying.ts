import type { Cluster } from './cluster.ts'
import { type Answer, fault, pauseAfter } from './fault.ts'
import type { Owner } from './ownership.ts'
import type { Found } from './plan.ts'
import type { FoundAccount } from './service-account.ts'
import type { Time } from './time.ts'

/** What every write needs: where, by whose clock, in whose name, and how long. */
export type Applying = { cluster: Cluster; time: Time; owner: Owner; signal: AbortSignal }

/** What a list has told already, so that it need not be read one by one. */
export type Read = {
  secret: { value: Found | undefined } | undefined
  account: (name: string) => { value: FoundAccount | undefined } | undefined
}

export const NOTHING_READ: Read = { secret: undefined, account: () => undefined }

/** Tries again as long as the fault is one that passes, with pauses; a bounded number of times. */
export async function patiently<T>(
  { time, signal }: { time: Pick<Time, 'sleep' | 'random'>; signal: AbortSignal },
  act: (attempt: number) => Promise<Answer<T>>,
): Promise<Answer<T>> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await act(attempt)
    if (outcome.ok) return outcome
    const pauseMs = pauseAfter(outcome.fault, attempt, time.random())
    if (pauseMs === undefined) return outcome
    await time.sleep(pauseMs, signal).catch(() => undefined)
    if (signal.aborted) return { ok: false, fault: fault('aborted', 'the attempt was broken off') }
  }
}
