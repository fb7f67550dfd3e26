import { toRegcreddError } from '../errors.ts'
import type { Logger } from '../log.ts'

/** For what must not stop the daemon when it fails; the failure is logged under these words. */
export function attempt(log: Logger, failure: string, act: () => void): void {
  try {
    act()
  } catch (thrown) {
    log.error({ err: toRegcreddError(thrown) }, failure)
  }
}

export async function attemptAsync(log: Logger, failure: string, act: () => Promise<void>): Promise<void> {
  await act().catch((thrown: unknown) => log.error({ err: toRegcreddError(thrown) }, failure))
}
